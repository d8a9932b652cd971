"""Options that several commands share, and how commands talk."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer

if TYPE_CHECKING:
    from lexlip_es.engines import Engine
    from lexlip_es.indexing import IndexReport

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
    typer.Option("--runtime", help="What runs the picture encoder; torch needs the train extra and a checkpoint."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]
TermsOption = Annotated[int | None, typer.Option("--terms", min=1, max=256, help="Terms kept a document; default: the model's.")]
FilesOption = Annotated[
    Path | None,
    typer.Option("--files", help="Only the pictures that this file lists, one name a line, relative to the folder."),
]
CaptionsOption = Annotated[
    Path | None,
    typer.Option("--captions", help="CSV, TSV, JSONL or JSON with the pictures' captions, kept as text beside the terms."),
]


def say(message: str) -> None:
    """Talk to the person: stderr, so that stdout stays data."""
    print(message, file=sys.stderr, flush=True)


def answer(data: Any) -> None:
    """Print data as JSON on stdout; text that is not valid Unicode is escaped."""
    print(json.dumps(data, indent=2, ensure_ascii=not _stdout_is_utf8(), allow_nan=False))


def finish(report: "IndexReport", as_json: bool) -> NoReturn:
    """Name what was left out, sum up, and end with the report's exit code."""
    for name, reason in (*report.skipped, *report.failed):
        say(f"skipped {name}: {reason}")
    if as_json:
        answer(report.to_json())
    say(report.summary())
    raise typer.Exit(report.exit_code)


@contextmanager
def progress(unit: str) -> Iterator[Callable[[], None]]:
    """A progress bar on stderr, shown only where that is a terminal; gives the function to call for each item."""
    from tqdm import tqdm

    with tqdm(unit=f" {unit}", disable=None, file=sys.stderr, mininterval=0.2) as bar:

        def tick() -> None:
            bar.update()

        yield tick


def _stdout_is_utf8() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"


def connected(url: str | None) -> "Engine":
    """The engine that the settings name, or the embedded one."""
    import os

    from lexlip_es.engines import connect
    from lexlip_es.engines.settings import ConnectionSettings

    return connect(ConnectionSettings.from_environment(os.environ, url=url), report=say)
