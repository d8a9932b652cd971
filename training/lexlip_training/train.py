"""A whole training run: data, phases, test once, checkpoint folder."""

import importlib.metadata
import platform
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from accelerate.utils import DataLoaderConfiguration, set_seed

from lexlip_training.card import model_card
from lexlip_training.checkpoint import load_weights, write_checkpoint
from lexlip_training.recipe import Recipe
from lexlip_training.setting import Setting, prepare
from lexlip_training.trainer import PhaseTrainer, RunFolder
from lexlip_training.validating import Scores, validate

Report = Callable[[str], None]
_VERSIONS = ("torch", "timm", "transformers", "accelerate", "numpy", "pillow")
_PRUNING = {"picture_terms": 64, "query_terms": 32}


def _silent(_: str) -> None:
    pass


def train(recipe: Recipe, *, resume: bool = False, report: Report = _silent, command: Sequence[str] = ()) -> Path:
    """Run a recipe and return its checkpoint folder, `OUTPUT/NAME/checkpoint`.

    `resume` goes on after the last finished epoch of an earlier run; `report` gets one line of progress at a time; `command` is
    kept in the model's provenance. Raises `LexlipError` for data or settings that cannot be used.
    """
    accelerator = Accelerator(
        mixed_precision=recipe.precision,
        dataloader_config=DataLoaderConfiguration(use_seedable_sampler=True),
        cpu=None,
    )
    set_seed(recipe.seed)
    quiet = report if accelerator.is_main_process else _silent
    folder = RunFolder(Path(recipe.output) / recipe.name, resume)
    setting = prepare(recipe, quiet)
    for phase in recipe.phase:
        done = folder.progress["phases"].get(phase.name, {"epochs_done": 0})["epochs_done"]
        if phase.epochs and done >= phase.epochs and folder.best(phase.name).is_file():
            load_weights(setting.built.model, folder.best(phase.name))
            continue
        accelerator.gradient_accumulation_steps = phase.accumulate
        PhaseTrainer(accelerator, setting, phase, folder, quiet).run()
    return finish(setting, folder, quiet, command)


def finish(setting: Setting, folder: RunFolder, report: Report, command: Sequence[str]) -> Path:
    """Score the finished model on dev, and on test once where the recipe names one, and write its checkpoint folder."""
    recipe, model = setting.recipe, setting.built.model
    side = recipe.phase[-1].text
    scores: dict[str, Scores] = {"dev": validate(model, setting.dev, side)}
    if recipe.data.test:
        scores["test"] = validate(model, setting.gallery("test", report), side)
    for name, found in scores.items():
        report(f"{name}: text to picture {found.text_to_picture}; picture to text {found.picture_to_text}")
    facts = provenance(setting, scores, command)
    return write_checkpoint(
        folder.path / "checkpoint",
        model,
        recipe.picture,
        recipe.text.max_tokens,
        name=recipe.name,
        tokenizer_file=setting.built.tokenizer_file,
        pruning=_PRUNING,
        provenance=facts,
        card=model_card(recipe, scores, facts, setting.left_out),
    )


def provenance(setting: Setting, scores: dict[str, Scores], command: Sequence[str]) -> dict[str, Any]:
    """Where a model comes from: data, seed, command, versions, scores, licence."""
    recipe = setting.recipe
    return {
        "data": {"train": recipe.data.train or "all captioned pictures", "dev": recipe.data.dev, "test": recipe.data.test},
        "train_pictures": len(setting.train.split),
        "left_out": {name: len(files) for name, files in setting.left_out.items()},
        "text_side": recipe.phase[-1].text,
        "seed": recipe.seed,
        "command": " ".join(command),
        "versions": {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in _VERSIONS},
        "scores": {name: found.to_dict() for name, found in scores.items()},
        "licence": recipe.licence,
    }
