"""Sparse terms in a real engine against dense vectors in FAISS, measured on this machine; and the report of what was measured.

    python -m benchmarks.versus measure --images DIR --captions FILE --files DEV.txt [--dense WHERE] [--others DIR]
        [--size 100000] --out RESULT.json
    python -m benchmarks.versus small [--out build/bench]          # the committed sample alone, some minutes: make bench
    python -m benchmarks.versus report RESULT.json... [--costs COSTS.json] [--out benchmarks/results] [--scaling FILE.md]

measure: one size of collection: the photographs alone, or so many made ones with them (`distractors`) as make `--size`. One
caption of each picture is asked; BM25 is given the others. Servers are started and stopped by it; Elasticsearch needs a JDK of 21
or later. Without `--dense` the dense vectors are random: times and bytes only. What was encoded and FAISS's files are kept in
`--cache`. report: `--costs` is what `benchmarks.search_costs` has written, `--scaling` where to write what follows for 10 M and
1 B pictures.
"""

import argparse
import json
import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.versus.collection import Collection
from benchmarks.versus.dense_encoders import load_dense
from benchmarks.versus.distractors import grow
from benchmarks.versus.encoding import EncodeText
from benchmarks.versus.likeness import likeness
from benchmarks.versus.measure import Plan, measure
from benchmarks.versus.report import write_report
from benchmarks.versus.results import load_results
from benchmarks.versus.sample import load_sample
from benchmarks.versus.scaling import scaling_text
from benchmarks.versus.system import Side
from benchmarks.versus.systems import SMALL, Compared, compared_at, systems
from benchmarks.versus.vectors import collection_of, collection_options
from lexlip_es.encoders import load_encoder
from lexlip_es.engines.node.places import Places
from lexlip_es.errors import LexlipError
from lexlip_es.model_folder import open_model

SMALL_SIZES = (0, 10_000)  # the sample alone, and ten times as many
SMALL_PLAN = Plan(queries=50, rounds=3, throughput_rounds=1, seconds=0.25, right=300)
SYSTEMS = tuple(field.name for field in fields(Compared) if field.name != "usual")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, or report."""
    options = parser().parse_args(arguments)
    command = shlex.join(["python", "-m", "benchmarks.versus", *(sys.argv[1:] if arguments is None else arguments)])
    try:
        options.run(options, command)
    except LexlipError as error:
        raise SystemExit(str(error)) from error


def parser() -> argparse.ArgumentParser:
    """The command line."""
    whole = argparse.ArgumentParser("benchmarks.versus", description=__doc__)
    whole.formatter_class = argparse.RawDescriptionHelpFormatter
    commands = whole.add_subparsers(required=True)
    one = commands.add_parser("measure", parents=[collection_options(None)], conflict_handler="resolve")
    one.set_defaults(run=run_measure)
    one.add_argument("--size", type=int, help="pictures, photographs included; by default these alone")
    one.add_argument("--without", action="append", default=[], choices=SYSTEMS, help="leave systems out")
    for field in fields(Plan):
        if field.name != "clients":
            one.add_argument(f"--{field.name.replace('_', '-')}", type=type(field.default), default=field.default)
    one.add_argument("--out", type=Path, required=True)
    small = commands.add_parser("small")
    small.set_defaults(run=run_small)
    small.add_argument("--sizes", type=int, nargs="+", default=SMALL_SIZES)
    small.add_argument("--out", type=Path, default=Path("build/bench"))
    report = commands.add_parser("report")
    report.set_defaults(run=run_report)
    report.add_argument("results", type=Path, nargs="+")
    report.add_argument("--costs", type=Path)
    report.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    report.add_argument("--scaling", type=Path)
    return whole


def run_measure(options: argparse.Namespace, command: str) -> None:
    """One size of real data."""
    plan = Plan(**{field.name: getattr(options, field.name) for field in fields(Plan) if field.name != "clients"})
    whole, model = collection_of(options), open_model(options.model)
    collection = one_caption_each(whole, plan.seed)
    captions: list[list[str]] = [[] for _ in range(1 + int(whole.gold.max()))]
    for text, picture in zip(whole.texts, whole.gold.tolist(), strict=True):
        captions[picture].append(text)
    encoders: dict[Side, EncodeText] = {}
    for side in ("table", "tower"):
        encoder = load_encoder(model, text=side)
        encoders[side] = lambda text, encoder=encoder: encoder.encode_texts([text])  # type: ignore[misc]
    if options.dense:
        dense = load_dense(options.dense)
        encoders["dense"] = lambda text: dense.encode_texts([text])
    size = options.size or len(collection)
    nothing: dict[str, Any] = dict.fromkeys(options.without, ())
    compared = replace(compared_at(size), **nothing)
    found = measure_size(collection, size, compared, plan, options.cache, command, captions=captions, encoders=encoders)
    write(options.out, found)


def run_small(options: argparse.Namespace, command: str) -> None:
    """The sample at a few sizes, and a report of them."""
    collection, paths = load_sample(), []
    for size in options.sizes:
        size = max(size, len(collection))
        path = options.out / f"{size}.json"
        write(path, measure_size(collection, size, SMALL, SMALL_PLAN, options.out, command))
        paths.append(path)
    again = shlex.join(["python", "-m", "benchmarks.versus", "report", *map(str, paths), "--out", str(options.out)])
    print(write_report(load_results(paths), None, options.out, again))


def run_report(options: argparse.Namespace, command: str) -> None:
    """Markdown and plots from raw results."""
    results = load_results(options.results)
    costs = json.loads(options.costs.read_text()) if options.costs else None
    scaling = scaling_text(results, command) if options.scaling else ""
    if scaling is None:
        raise LexlipError("growth cannot be told from one size: give the results of several.")
    print(write_report(results, costs, options.out, command))
    if options.scaling:
        options.scaling.write_text(scaling)
        print(options.scaling)


def measure_size(
    collection: Collection, size: int, compared: Compared, plan: Plan, cache: Path | None, command: str, **more: Any
) -> dict[str, Any]:
    """`measure` of the collection grown to a size; `likeness` too where pictures were made. `more` is for either."""
    folder = (cache or Places.find(os.environ).cache / "versus") / "faiss"
    whole = grow(collection, size, plan.seed)
    with systems(compared, folder, threads=plan.threads, captions=more.pop("captions", None)) as builds:
        found = measure(whole, builds, plan, command=command, say=say, **more)
    if size > collection.real:
        say("likeness of made pictures")
        found["likeness"] = likeness(collection, seed=plan.seed)
    return found


def one_caption_each(collection: Collection, seed: int) -> Collection:
    """One query for each picture, drawn: the other captions of it may be indexed as words."""
    order = np.random.default_rng(seed).permutation(len(collection.gold))
    _, first = np.unique(collection.gold[order], return_index=True)
    return collection.asking(np.sort(order[first]).tolist())


def write(path: Path, found: dict[str, Any]) -> None:
    """A raw result."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found) + "\n")


def say(words: str) -> None:
    """Talk goes to stderr."""
    print(words, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
