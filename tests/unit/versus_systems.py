"""Small systems of their own over real arrays, to be measured: exact inner products, and terms pruned on both sides."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.versus.collection import DENSE_DIM, Collection, Origin
from benchmarks.versus.system import Answer, Asker, Cost, Parameters, Side, Way
from lexlip_es.lexicon import Lexicon
from lexlip_es.weights import SparseWeights, prepare_documents, prepare_queries

TERMS = 80


def small_collection(pictures: int, *, origin: Origin = "dense twin", queries: int = 12, seed: int = 0) -> Collection:
    """Photographs of 20 terms, asked for by a few of their own; a query's picture is the one that it was made from."""
    random = np.random.default_rng(seed)
    rows = [(random.choice(TERMS, 20, replace=False), random.random(20) + 0.1) for _ in range(pictures)]
    gold = random.permutation(pictures)[:queries]
    texts = [(rows[i][0][:9], rows[i][1][:9]) for i in gold]
    dense = _norm_1(random.standard_normal((pictures, DENSE_DIM)))
    return Collection(
        "made for a test",
        Lexicon([f"word{i}" for i in range(TERMS)]),
        SparseWeights.from_rows(rows),
        dense,
        origin,
        pictures,
        tuple(f"text {i}" for i in range(queries)),
        SparseWeights.from_rows([(terms[:5], weights[:5]) for terms, weights in texts]),
        SparseWeights.from_rows(texts),
        _norm_1(dense[gold] + 0.02 * random.standard_normal((queries, DENSE_DIM))),
        gold.astype(np.int64),
    )


def _norm_1(vectors: NDArray[np.float64]) -> NDArray[np.float32]:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Product:
    """A way that multiplies; `slowness` seconds are slept in each query. It says what it took where it is `telling`."""

    matrix: NDArray[np.float32]
    asked: NDArray[np.float32]
    side: Side
    parameters: Parameters
    telling: bool = False
    slowness: float = 0.0
    log: list[int] = field(default_factory=list)

    def asker(self) -> Asker:
        return self

    def ask(self, query: int, k: int) -> Answer:
        self.log.append(query)
        time.sleep(self.slowness)
        scores = self.matrix @ self.asked[query]
        return Answer(np.argsort(-scores, kind="stable")[:k], 0.5 if self.telling else None)

    def close(self) -> None:
        self.log.append(-1)


@dataclass(frozen=True, eq=False)
class System:
    """What was built: nothing but arrays, which weigh what they weigh."""

    family: str
    parameters: Parameters
    asked: Sequence[Way]
    cost: Cost
    closed: list[str]

    def ways(self) -> Sequence[Way]:
        return self.asked

    def close(self) -> None:
        self.closed.append(self.family)


def flat(collection: Collection, closed: list[str] | None = None) -> System:
    """All inner products, as FAISS Flat."""
    way = Product(collection.dense, collection.dense_queries, "dense", {})
    return System("FAISS Flat", {}, [way], Cost(0.25, {"vectors": collection.dense.nbytes}), [] if closed is None else closed)


def pruned(collection: Collection, terms: int, closed: list[str] | None = None) -> System:
    """So many terms a picture, asked with 4 and with all of a query's, of the text tower; speaks as an engine does."""
    n = len(collection.lexicon)
    kept = prepare_documents(collection.pictures, terms)
    matrix, texts = kept.to_dense(n), collection.tower_queries
    ways = [
        Product(matrix, prepare_queries(texts, asked).to_dense(n), "tower", {"query terms": asked}, telling=True)
        for asked in (4, n)
    ]
    cost = Cost(0.5, {"postings of terms": 6 * len(kept.terms), "stored": 100}, 1_000_000, ("made",))
    return System("OpenSearch 0 rank_feature", {"picture terms": terms}, ways, cost, [] if closed is None else closed)


def sharded(collection: Collection, terms: int, shards: int) -> System:
    """As `pruned`, said to be in several parts."""
    system = pruned(collection, terms)
    return replace(system, parameters={**system.parameters, "shards": shards})
