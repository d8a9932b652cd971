"""`lexlip-es terms`: the weighted terms of a picture or a text."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lexlip_es.cli import common

if TYPE_CHECKING:
    from lexlip_es.subjects import DescribedTerm


def terms(
    subject: Annotated[str, typer.Argument(help="A picture file, or a text.")],
    k: Annotated[int | None, typer.Option("--k", min=1, max=256, help="How many terms; default: as the model prunes.")] = None,
    model: common.ModelOption = None,
    text_side: common.TextSideOption = "auto",
    runtime: common.RuntimeOption = "auto",
    as_json: common.JsonOption = False,
    html: common.HtmlOption = None,
) -> None:
    """Print the terms by which a picture is found, or a text searches. A subject that names an existing file is a picture."""
    from lexlip_es.encoders import load_encoder
    from lexlip_es.model_folder import open_model
    from lexlip_es.subjects import describe

    opened = open_model(model)
    listed = describe(load_encoder(opened, text=text_side, runtime=runtime), subject, k)
    if html is not None:
        _write_page(html, subject, listed)
    if as_json:
        common.answer([entry.to_json() for entry in listed])
        return
    for entry in listed:
        common.show(f"{entry.weight:9.5f}  {entry.piece}")


def _write_page(file: Path, subject: str, listed: "list[DescribedTerm]") -> None:
    from lexlip_es.engines.node.places import Places
    from lexlip_es.gallery import terms_page, write_page
    from lexlip_es.thumbnails import Thumbnails

    with Thumbnails(Places.find(os.environ).thumbnails) as thumbnails:
        thumbnail = thumbnails.of(Path(subject)) if os.path.isfile(subject) else None
    write_page(file, terms_page(subject, listed, thumbnail))
