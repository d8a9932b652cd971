"""Options that several commands share, and how commands talk."""

import json
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from lexlip_es.dialects import Family, FieldType, QueryForm
from lexlip_es.printable import printable

if TYPE_CHECKING:
    from lexlip_es.engines import Engine
    from lexlip_es.report import Report

IndexOption = Annotated[
    str | None,
    typer.Option("--index", envvar="LEXLIP_ES_INDEX", help="Name of the index (its alias); default: pictures, or texts."),
]
ModelOption = Annotated[
    Path | None,
    typer.Option("--model", envvar="LEXLIP_ES_MODEL", help="Model folder; default: the starter model of the package."),
]
UrlOption = Annotated[
    str | None,
    typer.Option("--url", help="The server; default: LEXLIP_ES_URL, else the embedded OpenSearch, started when needed."),
]
TextSideOption = Annotated[
    Literal["auto", "table", "tower"],
    typer.Option("--text", help="How a text becomes terms: by the query table, or by the model's text tower."),
]
RuntimeOption = Annotated[
    Literal["auto", "onnx", "torch"],
    typer.Option("--runtime", help="What runs the towers; torch needs the train extra and a checkpoint."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]
HtmlOption = Annotated[Path | None, typer.Option("--html", help="Write this file too: a page to look at.")]
TermsOption = Annotated[int | None, typer.Option("--terms", min=1, max=256, help="Terms kept a document; default: the model's.")]
FieldTypeOption = Annotated[
    FieldType | None,
    typer.Option(
        "--field-type",
        help="What holds the terms: rank_features, or sparse_vector (Elasticsearch 8.15+). Default: rank_features.",
    ),
]
FamilyOption = Annotated[
    Family | None, typer.Option("--family", help="Which file of mappings/ the index is made by; default: opensearch.")
]
LiteralOption = Annotated[
    bool, typer.Option("--literal", help="Take the text for a sentence, whatever signs of the query language are in it.")
]
HybridOption = Annotated[bool, typer.Option("--hybrid", help="Ask captions, tags and file names too, by BM25.")]
FormOption = Annotated[
    QueryForm | None, typer.Option("--form", help="How the query is written; default: what suits the server. All score alike.")
]
CollectionOption = Annotated[
    str | None, typer.Option("--collection", help="Name of this set of documents; default: the folder's absolute path.")
]
FilesOption = Annotated[
    Path | None,
    typer.Option("--files", help="Only the pictures that this file lists, one name a line, relative to the folder."),
]
CaptionsOption = Annotated[
    Path | None,
    typer.Option("--captions", help="CSV, TSV, JSONL or JSON with the pictures' captions, kept as text beside the terms."),
]


def say(message: str) -> None:
    """Talk to the person: one line on stderr, so that stdout stays data."""
    print(printable(message), file=sys.stderr, flush=True)


def show(line: str) -> None:
    """Print one line of data for people on stdout."""
    print(printable(line))


def answer(data: Any) -> None:
    """Print data as JSON on stdout, with what could steer a terminal as \\uXXXX; all in ASCII where stdout takes nothing else."""
    text = json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False)
    text = "\n".join(line if line.isprintable() else _escaped(line) for line in text.split("\n"))
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeError:
        text = json.dumps(data, indent=2, allow_nan=False)
    print(text)


def _escaped(line: str) -> str:
    """A line of JSON, still the same JSON: what is not printable stands between quotes in it."""
    return "".join(sign if sign.isprintable() else json.dumps(sign)[1:-1] for sign in line)


@contextmanager
def accounted(report: "Report", as_json: bool) -> Iterator[None]:
    """Within it a run does its work; at the end, a good one or not, name what was left out and sum up, and exit by the report."""
    try:
        yield
    except BaseException:
        if report.indexed or report.skipped or report.failed:  # a refusal before the first picture is a sentence of its own
            _account(report)
        raise
    _account(report)
    if as_json:
        answer(report.to_json())
    raise typer.Exit(_exit_code(report))


def _exit_code(report: "Report") -> int:
    """The report's; but torchrun and accelerate end all of a job's processes when one exits with anything but 0."""
    import os

    return 0 if report.exit_code == 3 and "TORCHELASTIC_RUN_ID" in os.environ else report.exit_code


def _account(report: "Report") -> None:
    for name, reason in (*report.skipped, *report.failed):
        say(f"left out {name}: {reason}")
    for note in report.notes:
        say(note)
    say(report.summary())


@contextmanager
def stopped_by_ctrl_c(stop: threading.Event) -> Iterator[None]:
    """Within it the first Ctrl-C sets an event, for an orderly end; the second one interrupts at once."""

    def first(*_: object) -> None:
        say("finishing what is begun; Ctrl-C again stops at once.")
        stop.set()
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, first)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def progress(unit: str, report: "Report | None" = None, total: Callable[[], int] | None = None) -> Iterator[Callable[[], None]]:
    """A progress bar on stderr, shown only where that is a terminal; gives the function to call for each item.

    `report` adds what was left out and the bottleneck; `total`, counted in a thread beside the work, the time that is left.
    """
    from tqdm import tqdm

    with tqdm(unit=f" {unit}", disable=None, file=sys.stderr, mininterval=0.2) as bar:
        if total is not None and not bar.disable:
            threading.Thread(target=_count, args=(bar, total), daemon=True).start()

        def tick() -> None:
            if bar.update() and report is not None:
                left = len(report.skipped) + len(report.failed)
                bar.set_postfix_str(f"{left} left out" + (f", {report.bottleneck} is slowest" if report.bottleneck else ""))

        yield tick


def _count(bar: Any, total: Callable[[], int]) -> None:
    with suppress(Exception):  # whatever is wrong with the source, the run itself will say it
        bar.total = total()


def connected(url: str | None, *, briefly: bool = False) -> "Engine":
    """The engine that the settings name, or the embedded one; `briefly` as for `engines.connect`."""
    import os

    from lexlip_es.engines import connect
    from lexlip_es.engines.settings import ConnectionSettings

    return connect(ConnectionSettings.from_environment(os.environ, url=url), report=say, briefly=briefly)
