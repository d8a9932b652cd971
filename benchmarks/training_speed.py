"""How fast does a recipe train, what memory does it take, and where does the time go? Random weights, pixels and captions.

    python -m benchmarks.training_speed [--recipe training/configs/tiny.toml] [--phase NAME] [--steps 20] [--batch B]
        [--set KEY=VALUE] [--tflops 200] [--json FILE] [--count-only]

No data set and no download (`made_setting`). The steps are the trainer's own, on one process and on the GPU if there is one.
Decoding of pictures and validation are left out, each batch makes an optimiser step, and nothing is cached or distilled. Of a
recipe for several GPUs give `--batch` for one: 100 of stage 1's 800.

Floating-point operations are counted by torch (a multiplication and an addition are two), recomputation by gradient checkpointing
included. Only products and convolutions count. The lexical head's sparse backward products are counted by their non-zeros, which
torch would take for dense ones. `--count-only` counts one step of two pictures with a short queue, on the CPU in fp32, and adds
what the recipe's batch and queue take, by formula. `--tflops` is what a GPU is assumed to sustain, not a measurement.
"""

import argparse
import json
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.made_setting import made_setting
from lexlip_training.queues import KeyQueue
from lexlip_training.recipe import PhaseRecipe, Recipe, load_recipe
from lexlip_training.run_folder import RunFolder
from lexlip_training.trainer import PhaseTrainer

COUNTED_BATCH, COUNTED_KEYS = 2, 8
REST = "rest of the forward pass"  # of the student: transforms, masked words' logits, the bottleneck's softmax


class Meter:
    """Adds up by part what `read` says, seconds or operations; a part inside another counts for itself alone."""

    def __init__(self, read: Callable[[], float] = lambda: 0.0) -> None:
        """`read` is a total that only grows."""
        self.read, self.last = read, read()
        self.spent: dict[str, float] = defaultdict(float)
        self.open: list[str] = []

    def _turn(self) -> None:
        now = self.read()
        if self.open:
            self.spent[self.open[-1]] += now - self.last
        self.last = now

    def enter(self, name: str) -> None:
        """A part begins."""
        self._turn()
        self.open.append(name)

    def leave(self) -> None:
        """The innermost part ends."""
        self._turn()
        self.open.pop()

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """What runs inside is `name`'s."""
        self.enter(name)
        yield
        self.leave()

    @contextmanager
    def watching(self, modules: dict[str, list[nn.Module | None]]) -> Iterator[None]:
        """The calls of these modules are parts."""
        handles = []
        for name, own in modules.items():
            for module in own:
                if module is not None:
                    handles.append(module.register_forward_pre_hook(lambda *_, name=name: self.enter(name)))
                    handles.append(module.register_forward_hook(lambda *_: self.leave()))
        yield
        for handle in handles:
            handle.remove()


@dataclass(frozen=True)
class Speed:
    """What one phase takes. Rates in pictures/s, memory in bytes, operations a picture at the recipe's batch and queue."""

    phase: str
    device: str
    precision: str
    batch: int  # of the recipe: what the operations are for
    measured_batch: int
    pictures_per_second: float | None
    peak_memory: int | None
    queue_memory: int  # of both queues at the recipe's size
    seconds: dict[str, float]  # part -> a step
    operations: dict[str, float]  # part -> a picture

    @property
    def operations_a_picture(self) -> float:
        """All parts together."""
        return sum(self.operations.values())


def step(trainer: PhaseTrainer, batch: dict[str, Any], meter: Meter) -> None:
    """One step of the trainer at the end of its FLOPS ramp, each part metered."""
    accelerator, stage_2 = trainer.accelerator, trainer.stage_2
    with meter.part("losses"):
        parts, _ = trainer._losses(batch, trainer.steps)
    with meter.part("backward"):
        accelerator.backward(sum(parts.values()))
    if stage_2 is not None:
        with meter.part("queues and following"):
            stage_2.queue()
    with meter.part("optimiser"):
        if trainer.phase.clip:
            accelerator.clip_grad_norm_(trainer.wrapped.parameters(), trainer.phase.clip)
        trainer.optimizer.step()
        trainer.optimizer.zero_grad()
    if stage_2 is not None:
        with meter.part("queues and following"):
            stage_2.follow(trainer.model)


def parts_of(trainer: PhaseTrainer) -> dict[str, list[nn.Module | None]]:
    """The modules whose calls are parts of their own."""
    model = trainer.model
    return {
        REST: [trainer.wrapped],
        "picture tower": [model.picture],
        "text tower": [model.text],
        "vocabulary (heads)": [getattr(model, "picture_head", None), getattr(model, "text_head", None)],
        "bottleneck decoder": [trainer.student.decoder],
        "momentum keys": [None if trainer.stage_2 is None else trainer.stage_2.copy],
    }


def _product(left: Tensor, right: Tensor, *_: Any, out_val: Any = None, **__: Any) -> int:
    """Operations of a product (m, k) x (k, n), of a sparse left side by its non-zeros."""
    stored = left._nnz() if left.layout is torch.sparse_csr else left.shape[0] * left.shape[1]
    return 2 * stored * right.shape[1]


_product._get_raw = True  # type: ignore[attr-defined]  # torch: give the tensors, not their shapes


def counter() -> FlopCounterMode:
    """Counts operations."""
    return FlopCounterMode(display=False, custom_mapping={torch.ops.aten.mm: _product})


def by_formula(phase: PhaseRecipe, terms: int, batch: int, keys: int) -> dict[str, float]:
    """Operations a picture of what is compared with a batch of `batch` pictures and queues of `keys`, by part.

    Each product of a query with A terms costs 2·A, and in the backward pass as much for each side that has a gradient.
    """
    each, momentum = phase.captions, phase.momentum
    if not momentum.keys:
        pairs = 0 if phase.locked_pictures else each * batch
        return {"losses": 2.0 * terms * pairs, "backward": 4.0 * terms * pairs}
    pairs = 2 * each * keys + (each * batch + each * each * batch if momentum.batch_negatives else 0)
    return {"losses": 2.0 * terms * pairs, "backward": 2.0 * terms * pairs}


def reset_peak(device: torch.device) -> None:
    """Forget the highest memory so far, where the system can."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    elif Path("/proc/self/clear_refs").exists():
        Path("/proc/self/clear_refs").write_text("5")


def peak(device: torch.device) -> int:
    """Bytes: allocated on a GPU, else resident in the whole process (since its start where the system cannot forget)."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if Path("/proc/self/status").exists():
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
    import resource  # not on every system

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def measure(recipe: Recipe, phase: PhaseRecipe, *, steps: int, batch: int, count_only: bool) -> Speed:
    """Time and count one phase at `batch` pictures a step."""
    keys = phase.momentum.keys
    used = min(keys, COUNTED_KEYS) if count_only else keys
    made = replace(
        phase, batch=batch, accumulate=1, momentum=replace(phase.momentum, keys=used), loss=replace(phase.loss, distil=0.0)
    )
    precision = "no" if count_only else recipe.precision
    recipe = replace(recipe, cache="", phase=(made,), precision=precision, data=replace(recipe.data, workers=0))
    setting = made_setting(recipe, max(2 * used, 4 * batch), max(made.captions, 1 if count_only else 2))
    accelerator = Accelerator(cpu=count_only, mixed_precision=recipe.precision)
    device = accelerator.device
    width = recipe.dense_dim if recipe.kind == "dense" else len(setting.built.model.active)
    with tempfile.TemporaryDirectory() as folder:
        trainer = PhaseTrainer(accelerator, setting, made, RunFolder(Path(folder), False), lambda _: None)
        trainer.wrapped.train()
        batches = [trainer._on_device(drawn) for drawn, _ in zip(trainer.loader, range(4), strict=False)]

        def repeat(count: int, meter: Meter) -> None:
            for i in range(count):
                step(trainer, batches[i % len(batches)], meter)

        def now() -> float:
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            return time.perf_counter()

        # Attention as plain products, which are counted on every device.
        with counter() as counted, sdpa_kernel(SDPBackend.MATH):
            counting = Meter(counted.get_total_flops)
            with counting.watching(parts_of(trainer)):
                repeat(1, counting)
        rate, highest, seconds = None, None, {}
        if not count_only:
            repeat(3 if device.type == "cuda" else 1, Meter())
            reset_peak(device)
            began = now()
            repeat(steps, Meter())
            rate = batch * steps / (now() - began)
            highest = peak(device)
            timing = Meter(now)  # a run of its own: to wait at each part would slow a GPU down
            with timing.watching(parts_of(trainer)):
                repeat(steps, timing)
            seconds = {name: spent / steps for name, spent in timing.spent.items()}
    operations = {name: spent / batch for name, spent in counting.spent.items()}
    for sign, compared in ((-1, by_formula(made, width, batch, used)), (1, by_formula(phase, width, phase.batch, keys))):
        for name, more in compared.items():
            operations[name] += sign * more
    each = made.momentum.stored_terms
    queues = 2 * KeyQueue.bytes_for(keys, width, stored_terms=each) if keys else 0
    accelerator.free_memory()
    kind = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    return Speed(phase.name, kind, recipe.precision, phase.batch, batch, rate, highest, queues, seconds, operations)


def tables(speeds: list[Speed], tflops: float) -> str:
    """Two Markdown tables: rates and operations, and the parts' shares."""
    lines = [
        f"| phase | batch | measured at | pictures/s | peak memory | both queues | GFLOP a picture | backward of it "
        f"| pictures/s at {tflops:g} TFLOP/s (assumed) |",
        "|" + " --- |" * 9,
    ]
    for speed in speeds:
        rate = "not timed" if speed.pictures_per_second is None else f"{speed.pictures_per_second:.1f}"
        memory = "not measured" if speed.peak_memory is None else f"{speed.peak_memory / 2**20:.0f} MiB"
        queues = f"{speed.queue_memory / 2**20:.1f} MiB"
        total, back = speed.operations_a_picture, speed.operations.get("backward", 0.0)
        lines.append(
            f"| {speed.phase} | {speed.batch} | {speed.measured_batch} | {rate} | {memory} | {queues} "
            f"| {total / 1e9:.4g} | {back / 1e9:.4g} | {tflops * 1e12 / total:.0f} |"
        )
    lines += ["", "| phase | part | ms a step | of the time | MFLOP a picture | of the operations |", "|" + " --- |" * 6]
    for speed in speeds:
        spent, counted = sum(speed.seconds.values()), speed.operations_a_picture
        for name in sorted(speed.operations, key=lambda name: -speed.operations[name]):
            seconds, operations = speed.seconds.get(name), speed.operations[name]
            time_cells = "| |" if seconds is None else f"{1000 * seconds:.1f} | {seconds / spent:.1%} |"
            lines.append(f"| {speed.phase} | {name} | {time_cells} {operations / 1e6:.4g} | {operations / counted:.1%} |")
    return "\n".join(lines)


def main() -> None:
    """Measure a recipe's phases and print the tables; the figures also go to a JSON file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", type=Path, default=Path(__file__).parents[1] / "training" / "configs" / "tiny.toml")
    parser.add_argument("--phase", action="append", help="only this phase; may be given several times")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--batch", type=int, help="pictures a step instead of the recipe's")
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--tflops", type=float, default=200.0, help="assumed of one H100 in bf16")
    parser.add_argument("--count-only", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    recipe = load_recipe(options.recipe, options.settings)
    phases = [phase for phase in recipe.phase if not options.phase or phase.name in options.phase]
    if not phases:
        parser.error(f"the recipe has no such phase: it has {', '.join(phase.name for phase in recipe.phase)}")
    speeds = []
    for phase in phases:
        batch = options.batch or (COUNTED_BATCH if options.count_only else phase.batch)
        speeds.append(measure(recipe, phase, steps=options.steps, batch=batch, count_only=options.count_only))
    print(f"{recipe.name}: {speeds[0].device}, precision {speeds[0].precision}\n\n{tables(speeds, options.tflops)}")
    if options.json:
        options.json.write_text(json.dumps([asdict(speed) for speed in speeds], indent=2) + "\n")


if __name__ == "__main__":
    main()
