"""`lexlip-es pack`: a checkpoint to a model folder with ONNX and a query table."""

from pathlib import Path
from typing import Annotated

import typer


def pack(
    checkpoint: Annotated[Path, typer.Argument(help="The checkpoint folder that lexlip-es train ended with.")],
    out: Annotated[Path, typer.Option("--out", help="The model folder to write.")],
) -> None:
    """Pack a checkpoint as a model folder that encodes without torch. Needs the train extra."""
    from lexlip_es.extras import require_extra

    require_extra("train", "torch", "timm", "transformers", "onnx")
    from lexlip_training.pack import pack as run

    print(run(checkpoint, out))
