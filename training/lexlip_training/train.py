"""A whole training run: data, phases, a finished checkpoint folder."""

from collections.abc import Callable, Sequence
from pathlib import Path

from accelerate import Accelerator
from accelerate.utils import DataLoaderConfiguration, set_seed

from lexlip_training.checkpoint import load_weights
from lexlip_training.finishing import finish
from lexlip_training.recipe import Recipe
from lexlip_training.setting import prepare
from lexlip_training.trainer import PhaseTrainer, RunFolder

Report = Callable[[str], None]


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
    return finish(setting, folder.path / "checkpoint", quiet, command)
