"""`lexlip-es pack`: a checkpoint to a model folder with ONNX and a query table."""

from pathlib import Path
from typing import Annotated

import typer

from lexlip_es.cli import common


def pack(
    checkpoint: Annotated[Path, typer.Argument(help="The checkpoint folder that lexlip-es train ended with.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="The model folder to write; default: `model` beside the checkpoint.")
    ] = None,
    images: Annotated[Path | None, typer.Option("--images", help="Pictures of the dev split that judges smaller files.")] = None,
    captions: common.CaptionsOption = None,
    dev: Annotated[str, typer.Option("--dev", help="List of the dev split's file names, beside the captions file.")] = "",
    terms: common.TermsOption = None,
    query_terms: Annotated[int | None, typer.Option("--query-terms", min=1, help="Terms that a query keeps.")] = None,
) -> None:
    """Pack a checkpoint as a model folder that encodes without torch. Needs the train extra.

    With --images, --captions and --dev the files are made as small as recall on these pictures allows; without, weights are
    kept in 16 bits.
    """
    from lexlip_es.extras import require_extra
    from lexlip_es.model_folder import ModelFolder

    pruning = ModelFolder.open(checkpoint).pruning.unless(terms, query_terms)
    require_extra("train", "torch", "timm", "transformers", "onnx")
    from lexlip_training.pack import pack as run
    from lexlip_training.recipe import DataRecipe

    data = DataRecipe(images=str(images), captions=str(captions), dev=dev) if images and captions else None
    print(run(checkpoint, out or checkpoint.with_name("model"), data=data, pruning=vars(pruning), report=common.say))
