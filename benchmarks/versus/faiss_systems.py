"""Dense vectors in FAISS: exact (Flat), by a graph (HNSW), by compressed lists (IVF-PQ).

An index is built once and kept as a file in a folder, so that a second run of the same collection reads it: building a graph of
a million vectors takes the better part of an hour. The files are the folder's: nothing here deletes them. An index is asked one
query at a time, as a server would be.
"""

import hashlib
import json
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.resources import resident
from benchmarks.versus.built import BuiltIndex, OwnAsker
from benchmarks.versus.collection import DENSE_DIM, Collection
from benchmarks.versus.system import Answer, Cost, Parameters, Side

EF_SEARCH = (16, 32, 64, 128, 256)
NPROBE = (1, 4, 16, 64)
EF_CONSTRUCTION = 200
TRAINED_ON = 64  # vectors a list, at most
_BYTES = 4 * DENSE_DIM  # of a vector


@dataclass(frozen=True, eq=False)
class FaissWay(OwnAsker):
    """A way to ask an index."""

    index: Any
    queries: NDArray[np.float32]  # (Q, 512)
    threads: int
    parameters: Parameters
    searching: Any = None  # FAISS's SearchParameters
    side: Side = field(default="dense", init=False)

    def ask(self, query: int, k: int) -> Answer:
        """See `Asker.ask`."""
        import faiss

        faiss.omp_set_num_threads(self.threads)  # of this very thread
        _, ids = self.index.search(self.queries[query : query + 1], k, params=self.searching)
        return Answer(ids[0][ids[0] >= 0])


def build_flat(collection: Collection, folder: Path, threads: int) -> BuiltIndex:
    """All inner products."""
    import faiss

    def make() -> Any:
        index = faiss.IndexFlatIP(DENSE_DIM)
        index.add(collection.dense)
        return index

    return _built(collection, folder, threads, "FAISS Flat", {}, make, {"vectors": _BYTES * len(collection)}, ({},))


def build_hnsw(
    collection: Collection,
    folder: Path,
    threads: int,
    links: int = 32,
    ef_construction: int = EF_CONSTRUCTION,
    efs: Sequence[int] = EF_SEARCH,
) -> BuiltIndex:
    """A graph with so many links a vector (HNSW's `M`), asked with each of `efs`."""
    import faiss

    def make() -> Any:
        index = faiss.IndexHNSWFlat(DENSE_DIM, links, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = ef_construction
        index.add(collection.dense)
        return index

    parameters = {"M": links, "efConstruction": ef_construction}
    known = {"vectors": _BYTES * len(collection)}
    return _built(collection, folder, threads, "FAISS HNSW", parameters, make, known, [{"efSearch": ef} for ef in efs])


def build_ivf_pq(
    collection: Collection,
    folder: Path,
    threads: int,
    code_bytes: int = 64,
    lists: int | None = None,
    nprobes: Sequence[int] = NPROBE,
) -> BuiltIndex:
    """So many lists (4 sqrt(N) by default) of codes of so many bytes a vector, asked with each of `nprobes`."""
    import faiss

    count = lists or max(1, round(4 * math.sqrt(len(collection))))

    def make() -> Any:
        index = faiss.index_factory(DENSE_DIM, f"IVF{count},PQ{code_bytes}", faiss.METRIC_INNER_PRODUCT)
        index.do_polysemous_training = False  # slow, and for filters by Hamming distance only
        index.cp.min_points_per_centroid = index.pq.cp.min_points_per_centroid = 1  # else each byte's training warns of few
        chosen = np.random.default_rng(0).permutation(len(collection))[: max(TRAINED_ON * count, 256 * TRAINED_ON)]
        index.train(collection.dense[np.sort(chosen)])
        index.add(collection.dense)
        return index

    parameters: Parameters = {"lists": lists or "4 sqrt(N)", "code bytes": code_bytes}
    known = {"codes": code_bytes * len(collection)}
    probes = [{"nprobe": nprobe} for nprobe in nprobes if nprobe <= count]
    return _built(collection, folder, threads, "FAISS IVF-PQ", parameters, make, known, probes)


def _built(
    collection: Collection,
    folder: Path,
    threads: int,
    family: str,
    parameters: Parameters,
    make: Callable[[], Any],
    known: Mapping[str, int],
    searches: Sequence[Mapping[str, int]],
) -> BuiltIndex:
    """Make the index, or find its file; `known` are parts whose bytes follow from the parameters, the rest is `links, lists`."""
    import faiss

    path = folder / f"{family.split()[-1].lower()}-{_digest(collection.dense, family, parameters)}.faiss"
    said = path.with_suffix(".json")
    if not said.exists():
        faiss.omp_set_num_threads(threads)
        started = time.perf_counter()
        index = make()
        seconds = time.perf_counter() - started
        faiss.write_index(index, str(path))
        del index
        said.write_text(json.dumps({"seconds": seconds, "threads": threads}) + "\n")  # last: the file is whole
    before = resident(os.getpid())
    index = faiss.read_index(str(path))
    memory = resident(os.getpid()) - before
    built = json.loads(said.read_text())
    rest = path.stat().st_size - sum(known.values())
    return BuiltIndex(
        family,
        parameters,
        Cost(built["seconds"], {**known, "links, lists": rest}, memory, (f"built by {built['threads']} threads",)),
        [FaissWay(index, collection.dense_queries, threads, said, _searching(family, said)) for said in searches],
    )


def _searching(family: str, parameters: Mapping[str, int]) -> Any:
    import faiss

    if family == "FAISS HNSW":
        return faiss.SearchParametersHNSW(**parameters)
    return faiss.SearchParametersIVF(**parameters) if parameters else None


def _digest(dense: NDArray[np.float32], family: str, parameters: Parameters) -> str:
    """Tells a file of these vectors from others: by their number and a thousand of them."""
    some = np.ascontiguousarray(dense[:: max(1, len(dense) // 1000)])
    named = json.dumps([family, dict(parameters), len(dense)]).encode()
    return hashlib.sha256(named + some.tobytes()).hexdigest()[:16]
