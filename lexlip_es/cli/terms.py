"""`lexlip-es terms`: the weighted terms of a picture or a text."""

from typing import Annotated

import typer

from lexlip_es.cli import common


def terms(
    subject: Annotated[str, typer.Argument(help="A picture file, or a text.")],
    k: Annotated[int | None, typer.Option("--k", min=1, max=256, help="How many terms; default: as the model prunes.")] = None,
    model: common.ModelOption = None,
    text_side: common.TextSideOption = "auto",
    runtime: common.RuntimeOption = "auto",
    as_json: common.JsonOption = False,
) -> None:
    """Print the terms by which a picture is found, or a text searches. A subject that names an existing file is a picture."""
    from lexlip_es.encoders import load_encoder
    from lexlip_es.model_folder import open_model
    from lexlip_es.subjects import describe

    opened = open_model(model)
    listed = describe(load_encoder(opened, text=text_side, runtime=runtime), subject, k)
    if as_json:
        common.answer([entry.to_json() for entry in listed])
        return
    for entry in listed:
        common.show(f"{entry.weight:9.5f}  {entry.piece}")
