"""`lexlip-es demo`: the whole way on an embedded OpenSearch, with photographs that two Python packages carry."""

from pathlib import Path
from typing import Annotated

import typer

from lexlip_es.cli import common

SEARCHES = (
    "a cat looking at the camera",
    "a motorcycle in a garage",
    "a man with a camera",
    "a red flower",
    "a traditional building with a roof",
    "stars in the night sky",
    "a woman in an orange space suit smiling",
)


def demo(
    folder: Annotated[
        Path | None, typer.Option("--folder", help="Where to put the photographs; default: the user's cache folder.")
    ] = None,
) -> None:
    """Index a dozen photographs into the embedded OpenSearch and search them; stops what it started. Needs the demo extra."""
    from lexlip_es.demonstration import run_demo

    for result in run_demo(SEARCHES, folder, report=common.say):
        common.show(f'"{result.query}"  ({result.total_ms:.0f} ms, {result.took_ms} ms of them in the engine)')
        for place, hit in enumerate(result.hits, 1):
            shares = "  ".join(f"{share.piece} {share.contribution:.2f}" for share in hit.terms[:5])
            common.show(f"  {place}. {hit.path:<18} {hit.score:7.3f}   {shares}")
