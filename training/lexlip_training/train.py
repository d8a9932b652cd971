"""A whole training run: data, phases, a finished checkpoint folder."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, set_seed

from lexlip_training.checkpoint import load_weights
from lexlip_training.finishing import finish
from lexlip_training.recipe import Recipe
from lexlip_training.run_folder import RunFolder
from lexlip_training.setting import Setting, prepare
from lexlip_training.trainer import PhaseTrainer

Report = Callable[[str], None]


def _silent(_: str) -> None:
    pass


def prepare_towers(model: Any, recipe: Recipe) -> None:
    """Let both towers recompute activations, or compile them, where the recipe says so."""
    if recipe.gradient_checkpointing:
        model.picture.backbone.checkpoint_gradients()
        encoder = model.text.encoder  # transformers 4 knows the old name only, 5 warns of it
        getattr(encoder, "activation_checkpointing_enable", encoder.gradient_checkpointing_enable)()
    if recipe.compile:
        model.picture.compile()
        model.text.compile(dynamic=True)


def train(recipe: Recipe, *, resume: bool = False, report: Report = _silent, command: Sequence[str] = ()) -> Path:
    """Run a recipe and return its checkpoint folder, `OUTPUT/NAME/checkpoint`.

    `resume` goes on from the last state of an earlier run; `report` gets one line of progress at a time; `command` is
    kept in the model's provenance. Raises `LexlipError` for data or settings that cannot be used.
    """
    accelerator, setting, folder = run_phases(recipe, resume=resume, report=report)
    checkpoint = folder.path / "checkpoint"
    if accelerator.is_main_process:
        finish(setting, checkpoint, report, command)
    accelerator.wait_for_everyone()
    return checkpoint


def run_phases(recipe: Recipe, *, resume: bool = False, report: Report = _silent) -> tuple[Accelerator, Setting, RunFolder]:
    """All of a run but its end: the setting's model is then in the best state of its last phase. Otherwise as `train`."""
    accelerator = Accelerator(
        mixed_precision=recipe.precision,
        kwargs_handlers=[DistributedDataParallelKwargs(broadcast_buffers=False)],  # they never change in training
    )
    set_seed(recipe.seed)
    quiet = report if accelerator.is_main_process else _silent
    folder = RunFolder(Path(recipe.output) / recipe.name, resume, keep=recipe.keep_states, writes=accelerator.is_main_process)
    with accelerator.main_process_first():  # the first one fills the caches, the others find them
        setting = prepare(recipe, quiet)
    prepare_towers(setting.built.model, recipe)
    for phase in recipe.phase:
        if not phase.epochs:
            continue
        facts = folder.facts(phase.name)
        if facts["epochs_done"] >= phase.epochs and folder.best(phase.name).is_file():
            load_weights(setting.built.model, folder.best(phase.name))
            continue
        PhaseTrainer(accelerator, setting, phase, folder, quiet).run()
    return accelerator, setting, folder
