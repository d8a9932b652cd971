"""`lexlip-es train`: train a model by a recipe."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from lexlip_es.cli import common


def train(
    config: Annotated[Path, typer.Argument(help="A recipe (TOML), for example training/configs/starter.toml.")],
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change a setting of the recipe: --set data.images=DIR (repeatable)."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last state that an earlier run saved.")] = False,
) -> None:
    """Train by a recipe; ends with a checkpoint folder for `lexlip-es pack`. Needs the train extra."""
    from lexlip_es.extras import require_extra

    require_extra("train", "torch", "timm", "transformers", "accelerate")
    from lexlip_training.recipe import load_recipe

    recipe = load_recipe(config, overrides or [])  # before torch, which takes seconds to import
    from lexlip_training.train import train as run

    print(run(recipe, resume=resume, report=common.say, command=["lexlip-es", *sys.argv[1:]]))
