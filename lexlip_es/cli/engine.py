"""`lexlip-es engine start|stop|status`: the embedded OpenSearch."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lexlip_es.cli import common

if TYPE_CHECKING:
    from lexlip_es.engines.embedded import RunningNode

app = typer.Typer(help="The embedded OpenSearch node.", no_args_is_help=True, rich_markup_mode=None)


def _facts(node: "RunningNode") -> dict[str, Any]:
    return {"running": True} | {name: str(value) if isinstance(value, Path) else value for name, value in vars(node).items()}


@app.command()
def start(
    heap: Annotated[str, typer.Option("--heap", help="The Java heap, as 512m or 2g.")] = "512m",
    as_json: common.JsonOption = False,
) -> None:
    """Start the embedded OpenSearch, fetching it first where needed; a running one is kept."""
    from lexlip_es.engines.embedded import start as start_node

    node = start_node(heap=heap, report=common.say)
    if as_json:
        common.answer(_facts(node))
    else:
        print(node.url)


@app.command()
def stop() -> None:
    """Stop the embedded OpenSearch; its data stays."""
    from lexlip_es.engines.embedded import stop as stop_node

    common.say("stopped." if stop_node() else "no embedded OpenSearch is running.")


@app.command()
def status(as_json: common.JsonOption = False) -> None:
    """Say whether the embedded OpenSearch runs, where, and where its log is; exit code 1 if it does not."""
    from lexlip_es.engines.embedded import status as node_status

    node = node_status()
    if as_json:
        common.answer(_facts(node) if node else {"running": False})
    else:
        print(f"running at {node.url} (pid {node.pid}), log {node.log}" if node else "not running")
    if node is None:
        raise typer.Exit(1)
