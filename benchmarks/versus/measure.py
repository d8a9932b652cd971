"""One size of collection: everything is built, then all ways are asked in turn. The result is raw, for `report` to read."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from benchmarks.versus.agreement import exact, recall_at
from benchmarks.versus.collection import Collection
from benchmarks.versus.encoding import EncodeText, encodings
from benchmarks.versus.machine import load_average, machine, versions
from benchmarks.versus.recall import MOST, answers_of, is_measured, right_pictures, times_only
from benchmarks.versus.results import FORMAT
from benchmarks.versus.system import Build, Built, Side, Way
from benchmarks.versus.timing import Say, Timed, throughputs, time_ways


@dataclass(frozen=True)
class Plan:
    """How much is asked: `queries` a way and round for latency, `right` once for R@k, `seconds` a way, clients and round.

    threads: of what runs in this process.
    """

    k: int = 10
    queries: int = 100
    rounds: int = 5
    clients: tuple[int, ...] = (1, 2, 4)
    throughput_rounds: int = 3
    seconds: float = 1.0
    right: int = 1_000
    threads: int = 1
    seed: int = 0


def measure(
    collection: Collection,
    builds: Sequence[Build],
    plan: Plan,
    *,
    command: str = "",
    encoders: Mapping[Side, EncodeText] | None = None,
    say: Say = lambda _: None,
) -> dict[str, Any]:
    """Build, ask, count; what was built is deleted at the end, and when something fails."""
    started, loads = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), [load_average()]
    queries = chosen(collection, plan.queries, plan.seed)
    with building(collection, builds, say) as built:
        pairs = [(number, way) for number, system in enumerate(built) for way in system.ways()]
        of_system, ways = [number for number, _ in pairs], [way for _, way in pairs]
        loads.append(load_average())
        timed = time_ways(ways, queries, plan.k, plan.rounds, plan.seed, say)
        rates = throughputs(
            ways, queries, plan.k, plan.clients, plan.throughput_rounds if plan.seconds else 0, plan.seconds, plan.seed, say
        )
        loads.append(load_average())
        agreement = _agreement(collection, ways, timed, queries, plan.k, say)
        right = _right(collection, ways, plan, say)
        asked = [
            {
                "side": way.side,
                "parameters": dict(way.parameters),
                "times_only": times_only(collection, way.side),
                **_times(timed[place]),
                "queries_per_second": {str(number): _rounded(found) for number, found in rates[place].items()},
                "recall_at_k": agreement[place],
                "right": right[place],
            }
            for place, way in enumerate(ways)
        ]
        systems = [
            {
                "family": system.family,
                "parameters": dict(system.parameters),
                "cost": _cost(system),
                "ways": [way for way, owner in zip(asked, of_system, strict=True) if owner == number],
            }
            for number, system in enumerate(built)
        ]
    return {
        "format": FORMAT,
        "label": collection.label,
        "pictures": len(collection),
        "real": collection.real,
        "dense_origin": collection.origin,
        "terms_a_picture": round(float(collection.pictures.counts.mean()), 1),
        "terms_a_query": {
            "table": round(float(collection.table_queries.counts.mean()), 1),
            "tower": round(float(collection.tower_queries.counts.mean()), 1),
        },
        "command": command,
        "plan": asdict(plan),
        "started": started,
        "ended": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": machine(),
        "versions": versions(),
        "load_average": dict(zip(("before", "after building", "after asking"), loads, strict=True)),
        "systems": systems,
        "exact": _exact_right(collection, ways, plan),
        "encoding": _encoding(collection, encoders or {}, plan),
    }


def chosen(collection: Collection, count: int, seed: int) -> list[int]:
    """So many of the queries, drawn without replacement, or all."""
    found: list[int] = np.random.default_rng(seed).permutation(len(collection.gold))[:count].tolist()
    return found


@contextmanager
def building(collection: Collection, builds: Sequence[Build], say: Say) -> Iterator[list[Built]]:
    """All of them built, one after another; deleted at the end, even if a later one cannot be built."""
    built: list[Built] = []
    try:
        for number, build in enumerate(builds, 1):
            say(f"building {number} of {len(builds)}")
            built.append(build(collection))
        yield built
    finally:
        for system in reversed(built):
            system.close()


def _cost(system: Built) -> dict[str, Any]:
    cost = system.cost
    return {
        "seconds": round(cost.seconds, 2),
        "bytes": int(cost.bytes),
        "parts": {part: int(size) for part, size in cost.parts.items()},
        "resident_bytes": cost.resident_bytes,
        "notes": list(cost.notes),
    }


def _times(timed: Timed) -> dict[str, Any]:
    took = None if timed.took_ms is None else [_rounded(row) for row in timed.took_ms]
    return {"ms": [_rounded(row) for row in timed.ms], "took_ms": took}


def _rounded(values: Any) -> list[float]:
    return [round(float(value), 3) for value in values]


def _agreement(
    collection: Collection, ways: Sequence[Way], timed: Sequence[Timed], queries: Sequence[int], k: int, say: Say
) -> list[list[float] | None]:
    """recall@k of each way and query against its side's exact ranking; None where it has none or nothing is said of it."""
    rankings: dict[Side, Any] = {}
    for side in {way.side for way in ways}:
        if side != "captions" and not times_only(collection, side):
            say(f"the exact ranking, {side}")
            rankings[side] = exact(collection, side, queries, k)
    return [
        _rounded(recall_at(k, found.answers, rankings[way.side])) if way.side in rankings else None
        for way, found in zip(ways, timed, strict=True)
    ]


def _right(collection: Collection, ways: Sequence[Way], plan: Plan, say: Say) -> list[dict[str, Any] | None]:
    """R@k of each way, where it may be told."""
    queries, found = chosen(collection, plan.right, plan.seed), []
    for number, way in enumerate(ways, 1):
        measured = is_measured(collection, way.side)
        if measured:
            say(f"R@k, way {number} of {len(ways)}")
        found.append(right_pictures(answers_of(way, queries), collection.gold[queries], plan.seed) if measured else None)
    return found


def _exact_right(collection: Collection, ways: Sequence[Way], plan: Plan) -> dict[str, Any]:
    """R@k of each side's exact, unpruned ranking, which no way to ask can be expected to pass by much."""
    queries = chosen(collection, plan.right, plan.seed)
    return {
        side: right_pictures(exact(collection, side, queries, MOST), collection.gold[queries], plan.seed)
        for side in sorted({way.side for way in ways} - {"captions"})
        if is_measured(collection, side)
    }


def _encoding(collection: Collection, encoders: Mapping[Side, EncodeText], plan: Plan) -> dict[str, Any]:
    """Milliseconds to encode a query, by text side: (R, Q) each."""
    ways = encodings(encoders, [collection.texts[query] for query in chosen(collection, plan.queries, plan.seed)])
    if not ways:
        return {}
    timed = time_ways(ways, range(len(ways[0].texts)), plan.k, plan.rounds, plan.seed)
    return {way.side: [_rounded(row) for row in found.ms] for way, found in zip(ways, timed, strict=True)}
