"""Raw results to Markdown, plots and SCALING.md. Nothing is measured here: the same results give the same report."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.markdown import table
from benchmarks.versus import likeness
from benchmarks.versus.comparisons import RECALL_WANTED, RECALLS, contests, targets, where_dense_wins
from benchmarks.versus.growth import growth_of
from benchmarks.versus.plots import draw_all, representatives, steps_of
from benchmarks.versus.results import Row, fastest, rows
from benchmarks.versus.scaling import measured_shard
from benchmarks.versus.timing import Spread

NAME = "README.md"
TIMES_ONLY = "times only"
Result = Mapping[str, Any]


def write_report(results: Sequence[Result], costs: Mapping[str, Any] | None, folder: Path, command: str) -> Path:
    """Write the report and its plots into the folder; returns the report's path."""
    folder.mkdir(parents=True, exist_ok=True)
    plots = draw_all(results, costs, folder)
    path = folder / NAME
    path.write_text(report_text(results, costs, plots, command))
    return path


def report_text(
    results: Sequence[Result], costs: Mapping[str, Any] | None, plots: Sequence[tuple[str, str]], command: str
) -> str:
    """The report; `plots` are file names and titles, shown where their subject is told."""
    shown = {Path(name).stem: f"![{title}]({name})" for name, title in plots}
    shard = measured_shard(results)
    k = results[0]["plan"]["k"]
    wins = "\n".join(f"- {words}" for words in where_dense_wins(results)) or "- nowhere in these results."
    parts = [
        f"# Sparse terms in a search engine against dense vectors in FAISS\n\nWritten by `{command}` from raw results.",
        "## What was measured\n\n" + _measured(results),
        "## Targets\n\nAt the largest collection, one thread each, one client.\n\n"
        + table(targets(results, shard.growth if shard else None)),
        "## Where dense wins\n\nThe best dense way against the best way in an engine: one thread, one client (throughput: the "
        f"best number of clients), searching alone.\n\n{wins}",
        "\n\n".join(map(_contests, results)),
        f"## The fastest way of each family by recall@{k}\n\np50 in ms of the fastest way with at least this recall against its "
        "own side's exact, unpruned ranking, one shard.\n\n" + "\n\n".join(map(_by_recall, results)),
        shown.get("recall-latency", ""),
        "## Captions: which picture is meant?\n\n" + _right(results),
        "## Bytes, time to build, memory\n\n" + "\n\n".join(map(_costs, results)),
        shown.get("recall-bytes", ""),
        "## Growth\n\n" + _growth(results),
        shown.get("latency-size", ""),
        "## A query's time\n\n" + _query_time(results, costs),
        shown.get("query-time", ""),
        "## How like real pictures the made ones are\n\n" + _likeness(results),
        "## Every way\n\nMedians over rounds; in brackets the lowest and the highest round. q/s: queries a second with so many "
        "clients.\n\n" + "\n\n".join(map(_every_way, results)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def spread(found: Spread | None, digits: int = 2) -> str:
    """As text: the median, in brackets the lowest and the highest round."""
    return "" if found is None else f"{found.median:.{digits}f} ({found.low:.{digits}f}-{found.high:.{digits}f})"


def said_recall(row: Row) -> str:
    """recall@k, or why there is none."""
    return TIMES_ONLY if row.times_only else "" if row.recall is None else f"{row.recall:.3f}"


def _measured(results: Sequence[Result]) -> str:
    plan, k = results[0]["plan"], results[0]["plan"]["k"]
    lines = [
        {
            "pictures": f"{result['pictures']:,}",
            "photographs": f"{result['real']:,}",
            "what": result["label"],
            "dense vectors": f"random: {TIMES_ONLY}" if result["dense_origin"] == "random" else result["dense_origin"],
            "terms a picture": result["terms_a_picture"],
            "terms a query, table / tower": " / ".join(str(result["terms_a_query"][side]) for side in ("table", "tower")),
            "machine": _machine(result),
            "load average": ", ".join(f"{load} {when}" for when, load in result["load_average"].items()),
            "started": result["started"],
        }
        for result in results
    ]
    versions = "; ".join(
        dict.fromkeys(", ".join(f"{name} {version}" for name, version in result["versions"].items()) for result in results)
    )
    commands = "\n".join(f"    {command}" for command in dict.fromkeys(result["command"] for result in results))
    return f"""{table(lines)}

The same pictures and queries for all, one interleaved run a size: {plan["queries"]} captions in each of {plan["rounds"]} rounds,
the ways in an order drawn anew in each (seed {plan["seed"]}), warmed, one client, one query at a time on one searching thread.
FAISS and SciPy are in this process, engines behind HTTP with a kept connection and requests written beforehand. Throughput:
{plan["seconds"]:g} s a way and number of clients, rounds: {plan["throughput_rounds"]}.

recall@{k} is against a side's own exact, unpruned ranking: whether that ranking is right is for R@1/5/10 to say. Rows of random
vectors say "{TIMES_ONLY}": nothing can be found among them. The dense twin has 256 dimensions, lifted to CLIP's 512 by an
orthonormal map: what it finds is its own, what it costs is CLIP's.

Versions: {versions}.

{commands}"""


def _machine(result: Result) -> str:
    machine = result["machine"]
    return f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_bytes'] / 1e9:.0f} GB"


def _heading(result: Result) -> str:
    return f"### {result['pictures']:,} pictures ({result['label']})\n\n"


def _families(found: Iterable[Row]) -> dict[str, list[Row]]:
    families: dict[str, list[Row]] = {}
    for row in found:
        families.setdefault(row.family, []).append(row)
    return families


def _contests(result: Result) -> str:
    held = contests(result)
    lines = [{"measure": one.measure, "dense": one.dense, "in the engine": one.engine, "better": one.better} for one in held]
    return _heading(result) + table(lines) if lines else ""


def _by_recall(result: Result) -> str:
    lines = []
    for family, some in _families(row for row in rows(result) if row.shards == 1).items():
        line: dict[str, Any] = {"system": family}
        if some[0].recall is None:
            quickest = min(some, key=lambda row: row.p50)
            why = TIMES_ONLY if quickest.times_only else "its own ranking"
            line[f">= {RECALLS[0]}"] = f"{quickest.p50:.2f} ({'; '.join(filter(None, (why, quickest.how)))})"
        else:
            for recall in RECALLS:
                way = fastest(some, recall)
                line[f">= {recall}"] = f"{way.p50:.2f} ({way.how or 'as it is'})" if way else "not reached"
            line["highest"] = f"{max(row.recall or 0.0 for row in some):.3f}"
        lines.append(line)
    columns = ["system", *(f">= {recall}" for recall in RECALLS), "highest"]
    return _heading(result) + table([{column: line.get(column, "") for column in columns} for line in lines])


def _right(results: Sequence[Result]) -> str:
    parts = []
    for result in results:
        lines = [_right_line(f"{side}, exact and unpruned", "", found) for side, found in result["exact"].items()]
        for some in _families(rows(result)).values():
            told = [row for row in some if row.way["right"] is not None]
            best: dict[str, Row] = {}  # of each index and side, the way with the highest R@10
            for row in told:
                key = f"{row.built}; {row.side}"
                if key not in best or (row.right(10) or 0.0) > (best[key].right(10) or 0.0):
                    best[key] = row
            lines += [_right_line(row.family, row.how, row.way["right"]) for row in best.values()]
        if lines:
            asked = f"{results[0]['plan']['right']:,} captions at most, 95 % intervals over pictures."
            parts.append(_heading(result) + f"{asked}\n\n" + table(lines))
    return "\n\n".join(parts) or "No collection here is of photographs alone that both sides have encoded: nothing is told."


def _right_line(system: str, parameters: str, found: Mapping[str, Any]) -> dict[str, Any]:
    measured = {
        name: f"{value['percent']:.1f} ({value['low']:.1f}-{value['high']:.1f})"
        for name, value in found.items()
        if isinstance(value, Mapping)
    }
    return {"system": system, "the best of": parameters, **measured, "captions": found["queries"]}


def _costs(result: Result) -> str:
    lines = []
    for system in result["systems"]:
        cost, pictures = system["cost"], result["pictures"]
        parts = sorted(cost["parts"].items(), key=lambda part: -part[1])
        resident = cost["resident_bytes"]
        first = Row(result["label"], pictures, system, system["ways"][0])
        lines.append(
            {
                "system": system["family"],
                "built": first.built,
                "bytes a picture": f"{first.bytes:.0f}",
                "by part": ", ".join(f"{part} {size / pictures:.0f}" for part, size in parts if size),
                "seconds to build": f"{cost['seconds']:.1f}",
                "resident MB": "" if resident is None else f"{resident / 1e6:.0f}",
                "found": TIMES_ONLY if first.times_only else "",
            }
        )
    notes = dict.fromkeys(f"{system['family']}: {note}" for system in result["systems"] for note in system["cost"]["notes"])
    return _heading(result) + table(lines) + "".join(f"\n\n{note}." for note in notes)


def _growth(results: Sequence[Result]) -> str:
    lines = []
    for some in representatives(results):
        growth = growth_of(some)
        if growth:
            lines.append(
                {
                    "way": some[-1].key,
                    "pictures": ", ".join(f"{size:,}" for size in growth.pictures),
                    "p50, ms": ", ".join(f"{ms:.2f}" for ms in growth.ms),
                    "exponent over all": str(growth.overall),
                    "between the largest two": str(growth.last),
                    "found": said_recall(some[-1]),
                }
            )
    about = (
        f"Of each family the fastest way at the largest size with recall of {RECALL_WANTED}, or the most that it has. "
        "p50 = a n^e: e with its 95 % interval over rounds.\n\n"
    )
    return about + table(lines) if lines else "One size alone: growth is not told."


def _query_time(results: Sequence[Result], costs: Mapping[str, Any] | None) -> str:
    encoded = [
        {
            "pictures": f"{result['pictures']:,}",
            "text side": side,
            **{f"p{percent}, ms": spread(Spread.of_percentile(ms, percent)) for percent in (50, 95, 99)},
        }
        for result in results
        for side, ms in result["encoding"].items()
    ]
    parts = []
    if encoded:
        parts.append("Searching alone is what every other table tells; a query must be encoded first.\n\n" + table(encoded))
    if costs:
        steps = [{"index": name, **found} for name, found in steps_of(costs).items()]
        parts.append(f"A search through the product, p50 in ms of each step ({costs['server']}):\n\n" + table(steps))
    return "\n\n".join(parts) or "Not measured."


def _likeness(results: Sequence[Result]) -> str:
    found = next((result["likeness"] for result in reversed(results) if result.get("likeness")), None)
    if not found:
        return "Not measured."
    about = ", ".join(f"{name} {value}" for name, value in found.items() if name != "figures")
    return f"`benchmarks.versus.likeness` ({about}).\n\n{table(likeness.rows(found))}"


def _every_way(result: Result) -> str:
    lines = [
        {
            "system": row.family,
            "built": row.built,
            "asked": row.asked,
            "p50, ms": spread(row.at(50)),
            "p95": f"{row.at(95).median:.2f}",
            "p99": f"{row.at(99).median:.2f}",
            "engine's took": spread(row.took, 0),
            **{f"q/s, {clients}": spread(row.rate(clients), 0) for clients in result["plan"]["clients"]},
            "recall": said_recall(row),
            "R@10": "" if row.right(10) is None else f"{row.right(10):.1f}",
        }
        for row in rows(result)
    ]
    return _heading(result) + table(lines)
