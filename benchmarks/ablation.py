"""What does each task of the two stages give? The same short training, each task off in turn, on dev.

    python -m benchmarks.ablation --base RUNS/NAME --images DIR --captions FILE [--cache DIR] [--epochs 1] [--out RUNS/ablation]

`--base` is the folder of a run of the recipe whose phases before stage 1 are done (`--set phase.stage1.epochs=0 --set
phase.stage2.epochs=0 --set phase.sparse.epochs=0`): every row starts from there and trains for the same number of epochs with the
same seed. Told is text to picture on dev with the text tower, unpruned. A row that was finished is not run again, one that was
interrupted goes on. The last line is JSON; the table goes to stdout as it grows.
"""

import argparse
import itertools
import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from lexlip_training.recipe import PhaseRecipe, Recipe, load_recipe
from lexlip_training.train import run_phases

RECIPE = Path(__file__).parents[1] / "training" / "configs" / "starter.toml"


def without(phase: PhaseRecipe, *tasks: str) -> PhaseRecipe:
    """The phase with these parts of its loss left out, and the decoder too where nothing reads through it."""
    changed = replace(phase, loss=replace(phase.loss, **dict.fromkeys(tasks, 0.0)))
    if changed.loss.picture_mlm or changed.loss.text_mlm:
        return changed
    return replace(changed, rates={part: rate for part, rate in phase.rates.items() if part != "bottleneck"})


def rows(stage1: PhaseRecipe, stage2: PhaseRecipe, epochs: int) -> Iterator[tuple[str, tuple[PhaseRecipe, ...]]]:
    """What is compared: a name, and the phases that follow the base; all of `epochs` epochs in total."""
    stage1, stage2 = replace(stage1, epochs=epochs), replace(stage2, epochs=epochs)
    yield "stage 1, all tasks", (stage1,)
    yield "without all three MLM tasks", (without(stage1, "mlm", "picture_mlm", "text_mlm"),)
    yield "without self-supervised MLM", (without(stage1, "mlm"),)
    yield "without picture-bottlenecked MLM", (without(stage1, "picture_mlm"),)
    yield "without text-bottlenecked MLM", (without(stage1, "text_mlm"),)
    yield "without distillation", (without(stage1, "distil"),)
    yield "without contrast", (without(stage1, "contrast"),)
    yield "stage 2 alone", (stage2,)
    yield "without FLOPS", (without(stage1, "flops_picture", "flops_text"),)
    yield "without labels", (without(stage1, "labels_picture", "labels_text"),)
    if epochs > 1:
        yield "stage 1, then stage 2", (replace(stage1, epochs=epochs // 2), replace(stage2, epochs=epochs - epochs // 2))


def run(recipe: Recipe, base: Path) -> dict[str, Any]:
    """Train one row from the base, or go on with it, and return the dev scores of its last phase's best state."""
    folder = Path(recipe.output) / recipe.name
    if not folder.exists():
        shutil.copytree(base, folder, ignore=shutil.ignore_patterns("checkpoint", "state-*", "tensorboard"))
    _, _, finished = run_phases(recipe, resume=True, report=lambda line: print(line, file=sys.stderr, flush=True))
    scores: dict[str, Any] = finished.facts(recipe.phase[-1].name)["best"]
    return scores


def main() -> None:
    """Train every row and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--images", required=True)
    parser.add_argument("--captions", required=True)
    parser.add_argument("--cache", default="runs/cache")
    parser.add_argument("--out", default="runs/ablation")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--teacher", default="runs/starter-twin/checkpoint")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    places = [f"data.images={options.images}", f"data.captions={options.captions}", f"cache={options.cache}"]
    recipe = load_recipe(RECIPE, [*places, f"output={options.out}", 'data.test=""', f"teacher.checkpoints=['{options.teacher}']"])
    stages = {phase.name: phase for phase in recipe.phase}
    before = tuple(itertools.takewhile(lambda phase: phase.name != "stage1", recipe.phase))
    found = {}
    print("| row | R@1 / R@5 / R@10 | terms a picture / a caption |")
    print("| --- | --- | --- |")
    for name, phases in rows(stages["stage1"], stages["stage2"], options.epochs):
        slug = "".join(sign if sign.isalnum() else "-" for sign in name)
        found[name] = scores = run(replace(recipe, name=slug, phase=(*before, *phases)), options.base)
        recalls = " / ".join(f"{scores['text_to_picture'][f'at_{k}']:.1f}" for k in (1, 5, 10))
        print(f"| {name} | {recalls} | {scores['picture_terms']:.0f} / {scores['text_terms']:.0f} |", flush=True)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
