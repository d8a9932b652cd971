"""The report's plots, from raw results alone. Random vectors' ways are in no plot of what is found: only a line at their time."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.versus.comparisons import RECALL_WANTED
from benchmarks.versus.growth import growth_of
from benchmarks.versus.results import Row, fastest, over_sizes, rows

SUFFIX = ".svg"
_MARKERS = "osD^vP*Xp<>h"


def draw_all(results: Sequence[Mapping[str, Any]], costs: Mapping[str, Any] | None, folder: Path) -> list[tuple[str, str]]:
    """Draw what can be drawn, and return (file name, title) of each; the same results give the same bytes."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams.update({"svg.hashsalt": "versus", "font.size": 9})
    drawn: list[tuple[str, str]] = []

    def save(name: str, title: str, figure: Any) -> None:
        from matplotlib import pyplot

        figure.suptitle(title)
        figure.savefig(folder / (name + SUFFIX), metadata={"Date": None})
        pyplot.close(figure)
        drawn.append((name + SUFFIX, title))

    look = _looks(row for result in results for row in rows(result))
    save("recall-latency", "Recall against latency (up and left is better)", _by_size(results, look, _recall_latency))
    save("recall-bytes", "Recall against bytes a picture (up and left is better)", _by_size(results, look, _recall_bytes))
    if len({result["pictures"] for result in results}) > 1:
        save("latency-size", "Latency against collection size, with fitted growth", _latency_size(results, look))
    if costs:
        save("query-time", "Where a query's time goes", _query_time(costs))
    return drawn


Look = Mapping[str, Mapping[str, Any]]


def _looks(found: Iterable[Row]) -> Look:
    """The same colour and marker for a family in every plot."""
    families = list(dict.fromkeys(row.family for row in found))
    return {
        family: {"color": f"C{number % 10}", "marker": _MARKERS[number % len(_MARKERS)]} for number, family in enumerate(families)
    }


def _by_size(results: Sequence[Mapping[str, Any]], look: Look, draw: Callable[[Any, Sequence[Row], Look], None]) -> Any:
    """A panel for each result, of what has one shard, and one legend below them."""
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(
        1, len(results), figsize=(max(7.0, 4.5 * len(results)), 5.2), squeeze=False, sharey=True, layout="constrained"
    )
    handles: dict[str, Any] = {}
    for panel, result in zip(panels[0], results, strict=True):
        draw(panel, [row for row in rows(result) if row.shards == 1], look)
        panel.set_title(f"{result['pictures']:,} pictures ({result['label']})")
        panel.set_xscale("log")
        panel.grid(alpha=0.3)
        handles |= dict(zip(*reversed(panel.get_legend_handles_labels()), strict=True))
    panels[0][0].set_ylabel(f"recall@{results[0]['plan']['k']} against the side's own exact ranking")
    if handles:
        figure.legend(handles.values(), handles, loc="outside lower center", ncols=2)
    return figure


def _recall_latency(panel: Any, found: Sequence[Row], look: Look) -> None:
    for family in look:
        some = [row for row in found if row.family == family]
        told = sorted((row.p50, row.recall) for row in some if row.recall is not None)
        if told:
            panel.scatter(*zip(*told, strict=True), s=16, alpha=0.5, **look[family])
            panel.plot(*zip(*_frontier(told), strict=True), label=family, markersize=4, **look[family])
        elif some and some[0].times_only:
            panel.axvline(
                min(row.p50 for row in some), color=look[family]["color"], linestyle=":", label=f"{family} (times only)"
            )
    panel.set_xlabel("p50 of one client, ms")


def _recall_bytes(panel: Any, found: Sequence[Row], look: Look) -> None:
    """The best recall of each index: whole index, and the terms' postings alone, hollow, where they are told."""
    for family in look:
        some = [row for row in found if row.family == family]
        best: dict[str, Row] = {}
        for row in some:
            if row.recall is not None and row.recall > (best[row.built].recall or 0.0 if row.built in best else -1.0):
                best[row.built] = row
        told = list(best.values())
        if told:
            panel.scatter([row.bytes for row in told], [row.recall for row in told], s=24, label=family, **look[family])
        elif some and some[0].times_only:
            panel.axvline(
                min(row.bytes for row in some), color=look[family]["color"], linestyle=":", label=f"{family} (bytes only)"
            )
        parts = [row for row in told if row.postings]
        if parts:
            hollow = {"facecolors": "none", "edgecolors": look[family]["color"], "marker": look[family]["marker"]}
            name = f"{family}, postings of terms alone"
            panel.scatter([row.postings for row in parts], [row.recall for row in parts], s=24, label=name, **hollow)
    panel.set_xlabel("bytes a picture")


def _frontier(points: Sequence[tuple[float, float | None]]) -> list[tuple[float, float]]:
    """Of points by ascending x those that no earlier one is as good as."""
    kept: list[tuple[float, float]] = []
    for x, y in points:
        if y is not None and (not kept or y > kept[-1][1]):
            kept.append((x, y))
    return kept


def representatives(results: Sequence[Mapping[str, Any]]) -> list[list[Row]]:
    """Of each family the way, over the sizes, that is fastest at the largest with the recall wanted (or the most there is).

    One shard alone; where recall is not told, simply the fastest.
    """
    series = [some for some in over_sizes(results).values() if len({row.pictures for row in some}) > 1 and some[0].shards == 1]
    chosen = []
    for family in dict.fromkeys(some[0].family for some in series):
        last = {some[-1]: some for some in series if some[0].family == family}
        most = max((row.recall for row in last if row.recall is not None), default=None)
        way = fastest(last, None if most is None else min(RECALL_WANTED, most))
        if way is not None:
            chosen.append(last[way])
    return chosen


def _latency_size(results: Sequence[Mapping[str, Any]], look: Look) -> Any:
    from matplotlib import pyplot

    figure, panel = pyplot.subplots(figsize=(8, 6.5), layout="constrained")
    for some in representatives(results):
        growth = growth_of(some)
        if growth is None:
            continue
        color, marker = look[some[0].family]["color"], look[some[0].family]["marker"]
        low, high = ([getattr(row.at(50), bound) for row in some] for bound in ("low", "high"))
        sizes = [row.pictures for row in some]
        panel.vlines(sizes, low, high, color=color)
        name = f"{some[0].family}{' (times only)' if some[0].times_only else ''}: exponent {growth.overall}"
        panel.plot(sizes, [row.p50 for row in some], marker, color=color, label=name)
        panel.plot(growth.pictures, [growth.line(size) for size in growth.pictures], "--", color=color, linewidth=1)
    panel.set(xscale="log", yscale="log", xlabel="pictures", ylabel="p50 of one client, ms")
    panel.grid(alpha=0.3)
    figure.legend(loc="outside lower center")
    return figure


STEPS = ("encode", "body as JSON", "engine's took", "client and HTTP", "parse", "read hits")


def steps_of(costs: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Of each index of `benchmarks.search_costs`: p50 in ms by step. The client's way is what the engine did not take of it."""
    found = {}
    for name in ("real", "made"):
        if name in costs:
            p50 = {step: float(figures["p50"]) for step, figures in costs[name]["steps"].items()}
            p50["client and HTTP"] = max(0.0, round(p50["client and engine"] - p50["engine's took"], 2))
            found[f"{costs[name]['documents']:,} {name} pictures"] = {step: p50[step] for step in STEPS}
    return found


def _query_time(costs: Mapping[str, Any]) -> Any:
    from matplotlib import pyplot

    told = steps_of(costs)
    figure, panel = pyplot.subplots(figsize=(8, 1.6 + 0.6 * len(told)), layout="constrained")
    lefts = [0.0] * len(told)
    for step in STEPS:
        widths = [steps[step] for steps in told.values()]
        panel.barh(list(told), widths, left=lefts, label=step)
        lefts = [left + width for left, width in zip(lefts, widths, strict=True)]
    panel.set_xlabel("p50 of each step, ms")
    figure.legend(loc="outside lower center", ncols=3)
    return figure
