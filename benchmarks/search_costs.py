"""Where does a search's time go, and how much of it is ours? `PictureIndex.search` beside the same request sent bare.

    lexlip-es index --images DIR --index real                                # once: real documents
    python -m benchmarks.search_costs --index real --captions FILE --files TEST.txt [--made 100000] [--out FILE.json]

Each round asks every caption in every way, in turn, so that the machine's moods touch all of them alike: through the Python API,
the same after a pause (see `searching.TRUSTED_SECONDS`), the awaited API, the engine's client with the request prepared, and
bare, which is that request's bytes over one kept connection of `http.client`, its answer read and not parsed. The request is the
one that the API itself sends for the caption. What the API costs more is told three times: as the difference of the medians, as
the median of the differences of each caption in each round, and as this process's own processor time, which holds on a machine
that has other work too.

`steps` times alone, each with what the one before it gave: encoding, the request's bytes, the client's way there and back,
parsing, reading hits. `took` is the engine's own time, in whole milliseconds. `fetches` compares ways to ask the same query for
hits that people can read. --made: the same again on so many documents made like the index's, which is deleted at the end.
The server is that of LEXLIP_ES_URL, or the embedded one.
"""

import asyncio
import json
import os
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from benchmarks.bare import Bare
from benchmarks.loading import ALIAS, free, learn, load
from benchmarks.markdown import table
from benchmarks.options import tell, timed_searches
from benchmarks.sending import connected
from lexlip_es import AsyncPictureIndex, PictureIndex, searching
from lexlip_es.captions import read_captions, read_names
from lexlip_es.dialects import Dialect
from lexlip_es.engines import Engine
from lexlip_es.engines.http_engine import as_json
from lexlip_es.lexicon import Lexicon
from lexlip_es.queries import asked_terms, read_hit, search_body
from lexlip_es.subjects import query_row
from lexlip_es.weights import Row

K, BESIDE = 10, 10
FIELDS = ("path", "collection", "terms", "duplicate_group")
Times = dict[str, list[tuple[float, float]]]
"""Milliseconds by the clock, and of them this process's own processor time, which other work on the machine hardly touches."""


def timed(times: Times, name: str, ask: Callable[[], Any]) -> Any:
    """What it gives; its milliseconds are kept under the name."""
    started, began = time.perf_counter(), time.process_time()
    found = ask()
    times.setdefault(name, []).append((1000 * (time.perf_counter() - started), 1000 * (time.process_time() - began)))
    return found


def sent_by(index: PictureIndex, text: str) -> Any:
    """The request that a search of this text sends."""
    engine: Any = index.engine
    with patch.object(engine, "_send", wraps=engine._send) as sending:
        index.search(text, K, literal=True)
    return next(call.args[0] for call in sending.call_args_list if "/_search" in call.args[0].target)


def in_turn(ways: Mapping[str, Callable[[int], Any]], queries: int, rounds: int) -> Times:
    """Milliseconds of every query in every way; each round begins with another way, after one round that warms up."""
    times: Times = {}
    for number in range(-1, rounds):
        taken: Times = {} if number < 0 else times
        order = list(ways)
        for query in range(queries):
            order.append(order.pop(0))
            for name in order:
                timed(taken, name, lambda name=name, query=query: ways[name](query))  # type: ignore[misc]
    return times


def after_a_pause(index: PictureIndex, text: str) -> None:
    """A search that asks first what stands behind the name, since nobody has asked for long enough."""
    with patch.object(searching, "TRUSTED_SECONDS", 0):
        index.search(text, K, literal=True)


def beside_bare(index: PictureIndex, url: str, texts: Sequence[str], rounds: int) -> dict[str, Any]:
    """The API beside its own requests, sent bare and through the client."""
    import urllib3

    bare, timeout, engine = Bare(url), urllib3.Timeout(connect=10, read=60), index.engine
    requests = [sent_by(index, text) for text in texts]
    loop = asyncio.new_event_loop()
    awaited = AsyncPictureIndex(url, index.name, index.encoder.model.path)
    loop.run_until_complete(awaited.__aenter__())
    try:
        times = in_turn(
            {
                "bare": lambda i: bare.send(requests[i].target, requests[i].body),
                "client": lambda i: engine._send(requests[i], timeout),  # type: ignore[attr-defined]
                "PictureIndex": lambda i: index.search(texts[i], K, literal=True),
                "PictureIndex after a pause": lambda i: after_a_pause(index, texts[i]),
                "AsyncPictureIndex": lambda i: loop.run_until_complete(awaited.search(texts[i], K, literal=True)),
            },
            len(texts),
            rounds,
        )
    finally:
        loop.run_until_complete(awaited.__aexit__(None, None, None))
        loop.close()
    found = beside(times)
    for name in found:
        found[name]["more CPU of ours"] = round(found[name]["own CPU p50"] - found["bare"]["own CPU p50"], 2)
    return found


def read(hits: Sequence[Mapping[str, Any]], row: Row, lexicon: Lexicon) -> None:
    """Make hits readable, as a search does."""
    asked = asked_terms(row, lexicon)
    for hit in hits:
        read_hit(hit, asked)


def steps(index: PictureIndex, texts: Sequence[str], rounds: int) -> dict[str, Any]:
    """Each step of a search by itself, and the engine's own time."""
    import urllib3

    times: Times = {}
    engine: Any = index.engine
    lexicon, timeout = index.encoder.model.lexicon, urllib3.Timeout(connect=10, read=60)
    took, length = [], []
    for _ in range(rounds):
        for text in texts:
            request = sent_by(index, text)
            body = json.loads(request.body)
            row = timed(times, "encode", lambda text=text: query_row(index.encoder, text))  # type: ignore[misc]
            timed(times, "body as JSON", lambda body=body: as_json(body))  # type: ignore[misc]
            answer = timed(times, "client and engine", lambda request=request: engine._send(request, timeout))  # type: ignore[misc]
            parsed = timed(times, "parse", lambda answer=answer: json.loads(answer.body))  # type: ignore[misc]
            took.append(float(parsed["took"]))
            length.append(len(answer.body))
            hits = parsed["hits"]["hits"][:K]
            timed(times, "read hits", lambda hits=hits, row=row: read(hits, row, lexicon))  # type: ignore[misc]
    found: dict[str, Any] = {name: quantiles(of) for name, of in times.items()}
    return {
        **found,
        "engine's took": quantiles([(one, 0.0) for one in took]),
        "bytes of an answer": {"p50": statistics.median(length)},
    }


def fetch_forms(row: Row, index: PictureIndex, dialect: Dialect) -> dict[str, tuple[dict[str, Any], str]]:
    """(body, URL parameters) of the ways to ask this query for readable hits, k of them or with some beside for duplicates."""
    lexicon, many = index.encoder.model.lexicon, K + BESIDE

    def body(size: int, fields: Sequence[str] = (), columns: Sequence[str] = (), named: bool = False) -> dict[str, Any]:
        asked = search_body(row, lexicon, size, dialect=dialect, fields=fields, named=named)
        return asked | ({"docvalue_fields": list(columns)} if columns else {})

    columns = ("path", "collection", "duplicate_group")
    forms = {
        f"_source, {many}": (body(many, FIELDS), ""),
        f"_source, {K}": (body(K, FIELDS), ""),
        f"_source without terms, {many}": (body(many, [field for field in FIELDS if field != "terms"]), ""),
        f"doc values, {many}": (body(many, columns=columns), ""),
        f"doc values and no ids, {many}": (body(many, columns=columns) | {"stored_fields": "_none_"}, ""),
        f"scores alone, {many}": (body(many) | {"stored_fields": "_none_"}, ""),
    }
    if dialect.says_shares:
        named = "&include_named_queries_score=true"
        forms |= {f"doc values, named terms, {size}": (body(size, columns=columns, named=True), named) for size in (many, K)}
    return forms


def fetches(index: PictureIndex, url: str, texts: Sequence[str], rounds: int) -> dict[str, Any]:
    """The ways to fetch hits, each sent bare, and the second request that would fetch k hits' terms after another."""
    bare, dialect = Bare(url), index._searcher().standing().dialect
    target = f"/{index.name}/_search?allow_partial_search_results=false"
    rows = [query_row(index.encoder, text) for text in texts]
    forms = [{name: (as_json(body), params) for name, (body, params) in fetch_forms(row, index, dialect).items()} for row in rows]
    ids = [[hit.id for hit in index.search(text, K, literal=True).hits] for text in texts]
    second = [as_json({"size": K, "query": {"ids": {"values": some}}, "_source": ["terms"]}) for some in ids]
    together = [as_json({"ids": some}) for some in ids]

    def ask(name: str) -> Callable[[int], Any]:
        return lambda i: bare.send(target + forms[i][name][1], forms[i][name][0])

    ways = {name: ask(name) for name in forms[0]}
    ways |= {
        f"second request, {K}": lambda i: bare.send(target, second[i]),
        f"second request by _mget, {K}": lambda i: bare.send(f"/{index.name}/_mget?_source_includes=terms", together[i]),
    }
    return {name: quantiles(of) for name, of in in_turn(ways, len(texts), rounds).items()}


def quantiles(times: Sequence[tuple[float, float]]) -> dict[str, float]:
    """p50, p95 and p99 by the clock, and the median of this process's own processor time."""
    cuts = statistics.quantiles([by_clock for by_clock, _ in times], n=100, method="inclusive")
    own = round(statistics.median(own for _, own in times), 2)
    return {**{f"p{percent}": round(cuts[percent - 1], 2) for percent in (50, 95, 99)}, "own CPU p50": own}


def beside(times: Times) -> dict[str, Any]:
    """`quantiles` of each way, and how much longer than the bare one it takes."""
    found: dict[str, Any] = {name: quantiles(of) for name, of in times.items()}
    for name in found:
        more = [one - other for (one, _), (other, _) in zip(times[name], times["bare"], strict=True)]
        found[name]["more than bare at p50"] = round(found[name]["p50"] - found["bare"]["p50"], 2)
        found[name]["median of differences"] = round(statistics.median(more), 2)
    return found


@contextmanager
def made_like(engine: Engine, index: PictureIndex, url: str, count: int) -> Iterator[PictureIndex]:
    """An index of so many documents made like those of another, which is deleted at the end."""
    free(engine)
    try:
        load(engine, index.encoder, learn(engine, index.name, index.encoder), count)
        with PictureIndex(url, ALIAS, index.encoder.model.path) as made:
            yield made
    finally:
        free(engine)


def measure(index: PictureIndex, url: str, texts: Sequence[str], rounds: int, compare: bool) -> dict[str, Any]:
    """All figures of one index."""
    before = os.getloadavg()[0]
    found = {
        "documents": index.count(),
        "beside bare": beside_bare(index, url, texts, rounds),
        "steps": steps(index, texts, rounds),
        **({"fetches": fetches(index, url, texts, rounds)} if compare else {}),
    }
    return {**found, "load average": [round(before, 1), round(os.getloadavg()[0], 1)]}


def first_captions(captions: Path, files: Path | None, count: int) -> list[str]:
    """One caption each of the first pictures."""
    said = read_captions(captions)
    names: Iterable[str] = read_names(files) if files else said
    return [said[name][0] for name in names if said.get(name)][:count]


def main() -> None:
    """Measure, and print JSON and Markdown."""
    parser = timed_searches(__doc__)
    parser.add_argument("--fetches", action="store_true", help="compare ways to fetch hits too")
    options = parser.parse_args()
    texts = first_captions(options.captions, options.files, options.queries)
    engine: Any = connected()
    url = engine._access.nodes[0].url
    found: dict[str, Any] = {"server": engine.server.display, "queries": len(texts), "rounds": options.rounds}
    with PictureIndex(url, options.index, options.model) as index:
        found["real"] = measure(index, url, texts, options.rounds, options.fetches)
        if options.made:
            with made_like(engine, index, url, options.made) as made:
                found["made"] = measure(made, url, texts, options.rounds, options.fetches)
    tell(found, options.out)
    for name in ("real", "made"):
        for part in ("beside bare", "steps", "fetches"):
            if part in found.get(name, {}):
                print(f"\n{name}, {part}\n\n" + table([{"": way, **figures} for way, figures in found[name][part].items()]))


if __name__ == "__main__":
    main()
