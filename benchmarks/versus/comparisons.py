"""What the numbers say, in words: the targets and by what factor they are met or missed, and where dense vectors win."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from benchmarks.versus.growth import Growth
from benchmarks.versus.results import Row, fastest, ours, rows

RECALL_WANTED = 0.98  # of its own exact, unpruned ranking, that a way must have to stand for its side
FASTER_THAN_FLAT = 10
OF_HNSW_BYTES = 0.1
POSTINGS_BYTES = 107  # 19.1 x less than 512 float32, as the paper has it
HNSW, FLAT, IVF = "HNSW", "Flat", "IVF"


def kind(found: Iterable[Row], name: str) -> list[Row]:
    """The FAISS ways of a kind."""
    return [row for row in found if row.side == "dense" and name in row.family]


def chosen_way(found: Iterable[Row]) -> Row | None:
    """The engine's fastest way with the recall that is wanted, else the one with the best recall."""
    engine = ours(found)
    return fastest(engine, RECALL_WANTED) or max(engine, key=lambda row: row.recall or 0.0, default=None)


def targets(results: Sequence[Mapping[str, Any]], growth: Growth | None) -> list[dict[str, str]]:
    """Each target, what was measured at the largest size, and whether it is met."""
    last = rows(results[-1])
    way, flat = chosen_way(last), fastest(kind(last, FLAT))
    at = f"{results[-1]['pictures']:,} pictures"
    told: list[dict[str, str]] = []

    def tell(target: str, measured: str, met: bool | None) -> None:
        told.append({"target": target, "measured": measured, "met": {True: "yes", False: "no", None: "not told"}[met]})

    wanted = f"{FASTER_THAN_FLAT} x faster at p50 than FAISS Flat with recall@10 of {RECALL_WANTED}"
    if way and flat:
        factor, recall = flat.p50 / way.p50, way.recall or 0.0
        met = factor >= FASTER_THAN_FLAT and recall >= RECALL_WANTED
        tell(wanted, f"{at}: {factor:.1f} x ({flat.p50:.2f} / {way.p50:.2f} ms) at {recall:.3f}, {way.key}", met)
    else:
        tell(wanted, "not both measured", None)
    _against_hnsw(tell, last, way, at)
    _postings(tell, results)
    if growth:
        met = growth.last.value <= 1
        slopes = f"{growth.overall} over all sizes, {growth.last} between the largest two"
        tell("Latency grows no faster than the collection", f"exponent {slopes}", met)
    else:
        tell("Latency grows no faster than the collection", "one size only", None)
    return told


def _against_hnsw(tell: Callable[[str, str, bool | None], None], found: Sequence[Row], way: Row | None, at: str) -> None:
    wanted = f"At most {OF_HNSW_BYTES:g} of HNSW's bytes at equal recall, the latency factor told"
    hnsw = kind(found, HNSW)
    theirs = fastest(hnsw) if all(row.times_only for row in hnsw) else fastest(hnsw, (way and way.recall) or 0.0)
    if not way or not hnsw:
        tell(wanted, "not both measured", None)
    elif theirs is None:
        best = max(row.recall or 0.0 for row in hnsw)
        tell(wanted, f"{at}: no HNSW measured reaches our recall of {way.recall:.3f} (best {best:.3f})", None)
    else:
        share = way.bytes / theirs.bytes
        equal = "recall unknown (random vectors)" if theirs.times_only else f"at {theirs.recall:.3f}"
        postings = "" if way.postings is None else f" (postings alone {way.postings / theirs.bytes:.3f})"
        measured = (
            f"{at}: {share:.3f}{postings} of the bytes, {way.p50 / theirs.p50:.1f} x its p50 "
            f"({way.p50:.2f} / {theirs.p50:.2f} ms), {equal}, {theirs.key}"
        )
        tell(wanted, measured, share <= OF_HNSW_BYTES)


def _postings(tell: Callable[[str, str, bool | None], None], results: Sequence[Mapping[str, Any]]) -> None:
    wanted = f"Postings of at most {POSTINGS_BYTES} bytes a picture, with R@10 at that size"
    small = [
        row for result in results for row in ours(rows(result)) if row.postings is not None and row.postings <= POSTINGS_BYTES
    ]
    if not small:
        tell(wanted, "no index measured is that small", False)
        return
    told = [row for row in small if row.right(10) is not None]
    best = max(told or small, key=lambda row: (row.pictures, row.right(10) or 0.0, row.postings or 0.0))
    right = f"R@10 {best.right(10):.1f} %" if told else "R@10 not measured at any such size"
    tell(
        wanted,
        f"{best.pictures:,} pictures: {best.postings:.0f} bytes, {right}, {best.key}; the whole index {best.bytes:.0f} bytes",
        True if told else None,
    )


def where_dense_wins(results: Sequence[Mapping[str, Any]]) -> list[str]:
    """A sentence for each size and each measure by which some dense way is better than every sparse way in the engine."""
    said = []
    for result in results:
        found = rows(result)
        engine, dense = ours(found), [row for row in found if row.side == "dense"]
        if engine and dense:
            said += [f"{result['pictures']:,} pictures ({result['label']}): {words}" for words in _better(engine, dense)]
    return said


def _better(engine: Sequence[Row], dense: Sequence[Row]) -> list[str]:
    said = []
    quick, theirs = fastest(engine), fastest(dense)
    if quick and theirs and theirs.p50 < quick.p50:
        unknown = ", though nothing is known of what it finds (random vectors)" if theirs.times_only else ""
        said.append(f"the quickest way of all is dense: {_named(theirs)} against {_named(quick)}{unknown}.")
    for recall in (0.9, 0.95, RECALL_WANTED, 0.99):
        one, other = fastest(dense, recall), fastest(engine, recall)
        if one and (other is None or one.p50 < other.p50):
            against = _named(other) if other else "which no way in the engine reaches"
            said.append(f"at recall@k of at least {recall} a dense way is quicker: {_named(one)}, {against}.")
    rates = [(row.rate(clients), row) for row in dense for clients in (1, 2, 4)]
    engine_rates = [rate.median for row in engine for clients in (1, 2, 4) if (rate := row.rate(clients))]
    most = max(((rate.median, row) for rate, row in rates if rate), key=lambda pair: pair[0], default=None)
    if most and engine_rates and most[0] > max(engine_rates):
        said.append(f"most queries a second: {most[0]:.0f} by {most[1].key}, the engine's best {max(engine_rates):.0f}.")
    least, small = min(dense, key=lambda row: row.bytes), min(engine, key=lambda row: row.bytes)
    if least.bytes < small.bytes:
        said.append(
            f"fewest bytes a picture: {least.bytes:.0f} by {least.family} ({least.built}), in the engine {small.bytes:.0f}."
        )
    soonest, early = (min(some, key=lambda row: float(row.system["cost"]["seconds"])) for some in (dense, engine))
    seconds = [float(row.system["cost"]["seconds"]) for row in (soonest, early)]
    if seconds[0] < seconds[1]:
        said.append(f"soonest built: {seconds[0]:.1f} s by {soonest.family}, in the engine {seconds[1]:.1f} s.")
    for depth in (1, 5, 10):
        right, engine_right = (max((row.right(depth) or 0.0 for row in some), default=0.0) for some in (dense, engine))
        if right > engine_right > 0:
            said.append(f"R@{depth} is higher: {right:.1f} % against {engine_right:.1f} %.")
    return said


def _named(row: Row) -> str:
    recall = "" if row.recall is None else f" at recall@k {row.recall:.3f}"
    return f"{row.key} ({row.p50:.2f} ms{recall})"
