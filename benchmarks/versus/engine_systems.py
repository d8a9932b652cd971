"""Sparse terms in a search engine: an index for each number of terms a picture, asked as the product asks, over HTTP.

Documents have all the fields that those of real pictures have (`made_documents`), so that the whole index's bytes are honest.
They come in their order through one sender, and each shard is merged into one segment. An index of several shards is the one of a
single shard, split by the engine. A query is a bare request over a connection that is kept, whose body was written beforehand but
for the number of hits.
"""

import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np

from benchmarks.bare import Bare
from benchmarks.made_documents import made_document, number_of
from benchmarks.resources import family, resident
from benchmarks.versus import disk
from benchmarks.versus.built import BuiltIndex
from benchmarks.versus.collection import Collection
from benchmarks.versus.storing import Stored, scaled
from benchmarks.versus.system import Answer, Asker, Cost, Parameters, Side
from lexlip_es.dialects import Dialect, FieldType, dialect_for, family_for
from lexlip_es.documents import features
from lexlip_es.engines import ConnectionSettings, Engine, connect
from lexlip_es.engines.http_engine import as_json
from lexlip_es.mappings import index_body
from lexlip_es.queries import ranking_body, search_body, terms_query
from lexlip_es.weights import Row, SparseWeights, prepare_queries
from tests.servers import Server, start

HEAP = "2g"  # enough for a million documents of each kind
PREFIX = "versus"
FIRST_TERMS = 8  # of a two-phase query: the heaviest, which choose what the others are looked at for
APART = 200_000  # pictures whose terms are stored once more, to tell their postings from the other fields'
_EMPTY = np.empty(0, np.int64)


@dataclass(frozen=True)
class Node:
    """A server of our own."""

    server: Server
    engine: Engine
    seconds: dict[str, float] = field(default_factory=dict)
    """What loading took, by index."""

    def cost(self, index: str, parts: Mapping[str, int], *notes: str) -> Cost:
        """What an index took that was just built."""
        memory = sum(resident(pid) for pid in family(self.server.group))
        resident_note = "resident bytes are the whole server's, with all indices that it held then"
        return Cost(self.seconds[index], parts, memory, (resident_note, *notes))


@contextmanager
def serving(name: str, heap: str = HEAP) -> Iterator[Node]:
    """Start a server (a name of `tests.servers`) for long use; at the end it is stopped, and its data deleted."""
    server = start(name, heap=heap, optimise=True)
    try:
        engine = connect(ConnectionSettings(urls=(server.url,)))
        yield Node(server, engine)
        engine.close()
    finally:
        server.stop()


class HttpAsker:
    """One connection to an index. `bodies` are requests without `size`, None for a query that asks for nothing."""

    def __init__(self, url: str, index: str, bodies: Sequence[Mapping[str, Any] | None]) -> None:
        self._bare = Bare(url)
        self._path = f"/{index}/_search?allow_partial_search_results=false"
        self._rests = [None if body is None else as_json(body)[1:] for body in bodies]

    def ask(self, query: int, k: int) -> Answer:
        """See `Asker.ask`."""
        rest = self._rests[query]
        if rest is None:
            return Answer(_EMPTY)
        answer = json.loads(self._bare.send(self._path, b'{"size":%d,%b' % (k, rest)))
        numbers = [number_of(_path_of(hit)) for hit in answer["hits"]["hits"]]
        return Answer(np.array(numbers, np.int64), float(answer["took"]))

    def close(self) -> None:
        """See `Asker.close`."""
        self._bare.close()


def _path_of(hit: Mapping[str, Any]) -> str:
    path: str = hit["fields"]["path"][0] if "fields" in hit else hit["_source"]["path"]
    return path


@dataclass(frozen=True)
class Asking:
    """How an index of terms is asked: how many of which side's terms; the first hits ranked again by the lighter terms, or not;
    what of a hit is fetched.

    window: 0 asks with all terms at once. Else the `FIRST_TERMS` heaviest choose so many documents, which are ranked by all.
    """

    side: Side
    terms: int
    window: int = 0
    stored: bool = False  # are all fields but the terms fetched, from the stored documents; else the path, from its column

    def body(self, queries: SparseWeights, query: int, collection: Collection, dialect: Dialect) -> dict[str, Any] | None:
        """The request without `size`; None for a query without terms. `queries` are those of the side, pruned."""
        terms, weights = queries.row(query)
        if not len(terms):
            return None
        first = FIRST_TERMS if self.window else len(terms)
        form = search_body if self.stored else ranking_body
        body = form((terms[:first], weights[:first]), collection.lexicon, 0, dialect=dialect)
        if len(terms) > first:
            rest = terms_query((terms[first:], weights[first:]), collection.lexicon, form=dialect.form)
            again = {"rescore_query": rest, "query_weight": 1, "rescore_query_weight": 1}
            body["rescore"] = {"window_size": self.window, "query": again}
        return {name: value for name, value in body.items() if name != "size"}

    @property
    def parameters(self) -> Parameters:
        """See `Way.parameters`."""
        fetched = "document" if self.stored else "path"
        return {"query terms": self.terms, "rescore window": self.window, "fetched": fetched}


ONE_PHASE = tuple(Asking("table", terms) for terms in (8, 16, 32))
TWO_PHASE = tuple(Asking("table", 32, window) for window in (50, 200))
WITH_DOCUMENTS = Asking("table", 32, stored=True)
ASKED = (*ONE_PHASE, *TWO_PHASE, WITH_DOCUMENTS, *(Asking("tower", terms) for terms in (8, 16, 32)))


@dataclass(frozen=True)
class HttpWay:
    """A way to ask an index over HTTP; the bodies are those of `HttpAsker`."""

    side: Side
    parameters: Parameters
    url: str
    index: str
    bodies: Sequence[Mapping[str, Any] | None] = field(repr=False)

    def asker(self) -> Asker:
        """See `Way.asker`."""
        return HttpAsker(self.url, self.index, self.bodies)


@dataclass(eq=False)
class EngineIndex(BuiltIndex):
    """An index in an engine."""

    node: Node
    index: str

    def close(self) -> None:
        """See `Built.close`."""
        self.node.engine.delete_index(self.index)


def build_terms(
    node: Node,
    collection: Collection,
    terms: int,
    *,
    field_type: FieldType = "rank_features",
    shards: int = 1,
    write_once: bool = False,
    stored: Stored | None = None,
    asked: Sequence[Asking] = ASKED,
) -> EngineIndex:
    """An index that keeps so many terms a picture; `stored` is kept instead of what `Collection.kept` gives."""
    engine = node.engine
    given: Parameters = {"picture terms": terms, "shards": shards, "write once": write_once}
    if stored is not None:
        given = {**given, "stored": stored.name}
    index = _index_name(given)
    of_server = family_for(engine.server, field_type)
    body = index_body({"write_once": write_once}, family=of_server, shards=shards, server=engine.server)

    def rows() -> Iterator[tuple[int, Row]]:
        if stored is not None:
            return stored.rows()
        return enumerate(part.row(i) for part in collection.kept(terms) for i in range(len(part)))

    started = time.perf_counter()
    disk.load(engine, index, body, (made_document(i, row, collection.lexicon) for i, row in rows()))
    node.seconds[index] = time.perf_counter() - started
    notes = []
    if engine.server.product == "elasticsearch":
        parts = disk.usage_parts(engine, index)
    else:
        alone = disk.terms_parts(
            engine, f"{index}-alone", body, lambda: (features(row, collection.lexicon) for _, row in islice(rows(), APART))
        )
        if (times := len(collection) / APART) > 1:
            alone = {part: round(times * size) for part, size in alone.items()}
            notes.append(f"postings and dictionary of terms are those of {APART:,} pictures, times {times:g}")
        parts = disk.apart(disk.parts(engine, index), alone)
    dialect = dialect_for(engine.server, field_type)
    ways = [_way(node, index, collection, asking, dialect, stored.shift if stored else 0) for asking in asked]
    return EngineIndex(f"{engine.server.display} {dialect.form}", given, node.cost(index, parts, *notes), ways, node, index)


def build_split(node: Node, collection: Collection, terms: int, *, shards: int, asked: Sequence[Asking]) -> EngineIndex:
    """The index of `rank_features` that `build_terms` made of so many terms a picture, in several shards."""
    engine = node.engine
    whole, given = ({"picture terms": terms, "shards": number, "write once": False} for number in (1, shards))
    source, index = _index_name(whole), _index_name(given)
    started = time.perf_counter()
    disk.split(engine, source, index, shards)
    node.seconds[index] = node.seconds[source] + time.perf_counter() - started
    dialect = dialect_for(engine.server)
    cost = node.cost(index, disk.parts(engine, index), "seconds are those of loading one shard and of splitting it")
    ways = [_way(node, index, collection, asking, dialect, 0) for asking in asked]
    return EngineIndex(f"{engine.server.display} {dialect.form}", given, cost, ways, node, index)


def _index_name(parameters: Parameters) -> str:
    return re.sub("[^a-z0-9]+", "-", " ".join([PREFIX, *map(str, parameters.values())]).lower())


def _way(node: Node, index: str, collection: Collection, asking: Asking, dialect: Dialect, shift: int) -> HttpWay:
    texts = collection.table_queries if asking.side == "table" else collection.tower_queries
    queries = scaled(prepare_queries(texts, asking.terms), shift)
    bodies = [asking.body(queries, query, collection, dialect) for query in range(len(queries))]
    return HttpWay(asking.side, asking.parameters, node.server.url, index, bodies)
