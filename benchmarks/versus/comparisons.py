"""What the numbers say, in words: the targets and by what factor they are met or missed, and where dense vectors win."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.versus.growth import Growth
from benchmarks.versus.results import Row, fastest, ours, reaching, rows
from lexlip_es.evaluation import DEPTHS

RECALL_WANTED = 0.98  # of its own exact, unpruned ranking, that a way must have to stand for its side
RECALLS = (0.8, 0.9, 0.95, RECALL_WANTED)
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


@dataclass(frozen=True)
class Contest:
    """The best dense way and the best in an engine by one measure; `times` is by how much the better is better, None if alone."""

    measure: str
    dense: str
    engine: str
    dense_wins: bool
    times: float | None

    @property
    def better(self) -> str:
        """The winner, as text."""
        winner = "dense" if self.dense_wins else "engine"
        return f"{winner} alone" if self.times is None else f"{winner}, {self.times:.3g} x"


@dataclass(frozen=True)
class Measure:
    """By which ways are held against each other, at each of these recalls@k and whatever is found; `more` is better, or less."""

    name: str
    of: Callable[[Row], float]
    more: bool = False
    recalls: Sequence[float] = ()

    def best(self, some: Iterable[Row], recall: float | None) -> Row | None:
        """The best one of those that reach the recall and for which it was measured."""
        measured = [row for row in reaching(some, recall) if self.of(row) > 0]
        return (max if self.more else min)(measured, key=self.of, default=None)


def _right(depth: int) -> Callable[[Row], float]:
    return lambda row: row.right(depth) or 0.0


MEASURES = (
    Measure("p50 in ms", lambda row: row.p50, recalls=RECALLS),
    Measure("queries a second", lambda row: row.highest_rate or 0.0, more=True, recalls=(RECALL_WANTED,)),
    Measure("bytes a picture of the whole index", lambda row: row.bytes, recalls=(RECALLS[0], RECALL_WANTED)),
    Measure("seconds to build", lambda row: float(row.system["cost"]["seconds"]), recalls=(RECALL_WANTED,)),
)
RIGHT = tuple(Measure(f"R@{depth} in percent", _right(depth), more=True) for depth in DEPTHS)


def contests(result: Mapping[str, Any]) -> list[Contest]:
    """Every measure that both sides have: on one thread, one shard; of random vectors times and bytes alone."""
    found = rows(result)
    engine, dense = ours(found), [row for row in found if row.side == "dense"]
    if not engine or not dense:
        return []
    k, told, random = result["plan"]["k"], [], any(row.times_only for row in dense)
    for measure in MEASURES:
        for recall in () if random else measure.recalls:
            told.append(_contest(f"{measure.name} at recall@{k} >= {recall}", measure, dense, engine, recall))
        told.append(_contest(f"{measure.name}, whatever is found", measure, dense, engine, None))
    told += [_contest(measure.name, measure, dense, engine, None) for measure in RIGHT if not random]
    return [one for one in told if one]


def where_dense_wins(results: Sequence[Mapping[str, Any]]) -> list[str]:
    """A sentence for each size: by which measures a dense way is better than every way in the engine, and by which not."""
    said = []
    for result in results:
        held = contests(result)
        if held:
            dense, engine = ([one.measure for one in held if one.dense_wins is wins] for wins in (True, False))
            random = " Its vectors are random: nothing is said of what they find." if result["dense_origin"] == "random" else ""
            said.append(
                f"{result['pictures']:,} pictures ({result['label']}): dense wins by {'; '.join(dense) or 'nothing'}. "
                f"The engine wins by {'; '.join(engine) or 'nothing'}.{random}"
            )
    return said


def _contest(name: str, measure: Measure, dense: Sequence[Row], engine: Sequence[Row], recall: float | None) -> Contest | None:
    """None where neither reaches the recall, or nothing of the kind was measured."""
    one, other = measure.best(dense, recall), measure.best(engine, recall)
    if one is None or other is None:
        if one is other or recall is None:
            return None
        return Contest(name, _named(one, measure), _named(other, measure), one is not None, None)
    ratio = (measure.of(one) / measure.of(other)) ** (1 if measure.more else -1)
    return Contest(name, _named(one, measure), _named(other, measure), ratio > 1, max(ratio, 1 / ratio))


def _named(row: Row | None, measure: Measure) -> str:
    return "not reached" if row is None else f"{measure.of(row):.4g} ({row.key})"
