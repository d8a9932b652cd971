"""The command line: typer, one file a command, no logic. Data goes to stdout, talk to stderr."""

import io
import sys

import typer

from lexlip_es.cli import (
    demo,
    doctor,
    engine,
    evaluate,
    explain,
    export,
    index,
    kibana,
    mapping,
    pack,
    query,
    rebuild,
    search,
    serve,
    terms,
    train,
)
from lexlip_es.cli.common import say
from lexlip_es.errors import LexlipError

app = typer.Typer(
    name="lexlip-es",
    help="Text-to-picture search for Elasticsearch and OpenSearch, without a vector index.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command()(index.index)
app.command()(rebuild.rebuild)
app.command()(search.search)
app.command()(serve.serve)
app.command()(query.query)
app.command()(explain.explain)
app.command()(terms.terms)
app.command()(export.export)
app.command()(mapping.mapping)
app.command()(doctor.doctor)
app.command()(evaluate.evaluate)
app.command()(train.train)
app.command()(pack.pack)
app.command()(demo.demo)
app.add_typer(kibana.app, name="kibana")
app.add_typer(engine.app, name="engine")


def main() -> None:
    """Run a command; a mistake that a person can mend ends in one sentence on stderr and its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that lacks a letter is no reason to stop
    try:
        app()
    except LexlipError as error:
        say(f"lexlip-es: {error}")
        sys.exit(error.exit_code)
