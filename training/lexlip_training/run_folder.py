"""A run's files: metrics, TensorBoard events, states to resume from, each phase's best weights.

`metrics.jsonl`, `tensorboard/`, `progress.json`, `state-PHASE-EPOCH-BATCH/` (the last few), `best-PHASE.safetensors`. A state is
written under another name and renamed when it is whole, and only then does `progress.json` name it: a run that is killed, or
whose disk is full, goes on from the state before.
"""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from lexlip_es.errors import LexlipError
from lexlip_training.checkpoint import write_json, write_tensors

_FRESH: dict[str, Any] = {"epochs_done": 0, "batches_done": 0, "best_total": -1.0, "best": None, "sums": {}}


class RunFolder:
    """See the module's docstring."""

    def __init__(self, path: Path, resume: bool, *, keep: int = 2, writes: bool = True) -> None:
        """Open the folder; without `resume` an older run in it is forgotten. Only one process of several `writes`."""
        self.path, self.keep, self.writes = path, keep, writes
        self.metrics = path / "metrics.jsonl"
        self.progress: dict[str, Any] = {"phases": {}, "metrics_bytes": 0}
        if resume and (path / "progress.json").is_file():
            self.progress = json.loads((path / "progress.json").read_text(encoding="utf-8"))
        self._board: Any = None
        if not writes:
            return
        path.mkdir(parents=True, exist_ok=True)
        if not self.progress["phases"]:
            for old in (self.metrics, path / "progress.json", *path.glob("best-*.safetensors")):
                old.unlink(missing_ok=True)
            for folder in (*path.glob("state-*"), path / "tensorboard"):
                shutil.rmtree(folder, ignore_errors=True)
        if self.metrics.is_file():  # what was logged after the last state will be logged again
            os.truncate(self.metrics, min(self.progress["metrics_bytes"], self.metrics.stat().st_size))

    def facts(self, phase: str) -> dict[str, Any]:
        """How far a phase has come."""
        known: dict[str, Any] = self.progress["phases"].get(phase, {})
        return _FRESH | known

    def log(self, step: int | None = None, **facts: Any) -> None:
        """Append one line of JSON to `metrics.jsonl`, and its numbers to TensorBoard."""
        if not self.writes:
            return
        with self.metrics.open("a", encoding="utf-8") as file:
            file.write(json.dumps(({} if step is None else {"step": step}) | facts) + "\n")
        if self._board is None:
            from tensorboardX import SummaryWriter

            self._board = SummaryWriter(str(self.path / "tensorboard"))
        at = facts["epoch"] if step is None else step
        kind = "epoch" if step is None else "step"
        for name, value in _numbers(f"{facts['phase']}/{kind}", facts):
            self._board.add_scalar(name, value, at)

    def best(self, phase: str) -> Path:
        """The best weights of a phase."""
        return self.path / f"best-{phase}.safetensors"

    def save(self, accelerator: Accelerator, phase: str, facts: dict[str, Any], extra: nn.Module | None = None) -> None:
        """Write weights, optimiser, random states of every process and `extra`, then the note that they are whole.

        Every process calls it. Raises `LexlipError` where the disk is full; the state before stays.
        """
        state = self.path / f"state-{phase}-{facts['epochs_done']}-{facts['batches_done']}"
        partial = state.with_name(f"{state.name}.partial")
        accelerator.wait_for_everyone()
        with self._writing():
            if self.writes:
                shutil.rmtree(partial, ignore_errors=True)
                partial.mkdir(parents=True)
            accelerator.wait_for_everyone()
            accelerator.save_state(str(partial))
            if self.writes and extra is not None:
                write_tensors(partial / "momentum.safetensors", extra.state_dict())
            accelerator.wait_for_everyone()
            if self.writes:
                self._put_in_place(partial, state, phase, facts)

    def save_best(self, phase: str, state: Mapping[str, Tensor]) -> None:
        """Keep the best weights of a phase. Raises `LexlipError` as `save` does."""
        with self._writing():
            write_tensors(self.best(phase), state)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except (OSError, RuntimeError, SafetensorError) as error:
            for partial in self.path.glob("*.partial"):
                shutil.rmtree(partial, ignore_errors=True)
            reason = str(error).splitlines()[0]
            raise LexlipError(
                f"the state of the run cannot be written to {self.path} ({reason}): make room and go on with --resume."
            ) from error

    def _put_in_place(self, partial: Path, state: Path, phase: str, facts: dict[str, Any]) -> None:
        shutil.rmtree(state, ignore_errors=True)
        os.replace(partial, state)
        if self._board is not None:
            self._board.flush()
        states = [*self.progress["phases"].get(phase, {}).get("states", []), state.name]
        size = self.metrics.stat().st_size if self.metrics.is_file() else 0
        noted = self.progress | {"metrics_bytes": size}
        noted["phases"] = self.progress["phases"] | {phase: facts | {"state": state.name, "states": states[-self.keep :]}}
        write_json(self.path / "progress.json", noted)
        self.progress = noted
        for old in self.path.glob("state-*"):
            if old.name not in states[-self.keep :]:
                shutil.rmtree(old, ignore_errors=True)

    def load(self, accelerator: Accelerator, phase: str, extra: nn.Module | None = None) -> None:
        """Put everything back that `save` wrote last in this phase. Raises `LexlipError` if it is not there."""
        state = self.path / self.progress["phases"][phase]["state"]
        try:
            if extra is not None:
                extra.load_state_dict(load_file(state / "momentum.safetensors"))
            accelerator.load_state(str(state))
        except (OSError, RuntimeError, ValueError) as error:
            raise LexlipError(f"{state} cannot be resumed from ({error}): start the run without --resume.") from error


def _numbers(prefix: str, facts: Mapping[str, Any]) -> list[tuple[str, float]]:
    found: list[tuple[str, float]] = []
    for name, value in facts.items():
        if isinstance(value, Mapping):
            found += _numbers(f"{prefix}/{name}", value)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found.append((f"{prefix}/{name}", float(value)))
    return found
