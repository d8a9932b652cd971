"""The training loop of one phase, on `accelerate`: prepare, accumulate, clip, validate, keep the best.

A phase is validated on dev after each epoch, never on test; its best state (by R@1 + R@5 + R@10, text to picture) is what the
next phase, or the finished model, starts from. After each epoch the whole state is written, so a killed run goes on with the
epoch it was in.
"""

import json
import os
import shutil
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor
from torch.utils.data import DataLoader

from lexlip_training.batches import Batch, Collator, TrainingPictures
from lexlip_training.checkpoint import load_weights, state_copy, write_json, write_tensors
from lexlip_training.lexlip import LexLip
from lexlip_training.losses import gather_alone, gather_processes, ramp, step_losses, unit
from lexlip_training.optim import make_optimizer, parameter_groups, schedule, set_rates
from lexlip_training.recipe import PhaseRecipe
from lexlip_training.setting import Setting
from lexlip_training.validating import Scores, encode_pictures, validate

Report = Callable[[str], None]
_LOG_EVERY = 20  # steps


class RunFolder:
    """A run's files: `metrics.jsonl`, `progress.json`, `state/` (to resume), `best-PHASE.safetensors`."""

    def __init__(self, path: Path, resume: bool) -> None:
        """Open the folder; without `resume` an older run in it is forgotten."""
        self.path = path
        path.mkdir(parents=True, exist_ok=True)
        self.metrics = path / "metrics.jsonl"
        self.progress: dict[str, Any] = {"phases": {}}
        if resume and (path / "progress.json").is_file():
            self.progress = json.loads((path / "progress.json").read_text(encoding="utf-8"))
        elif not resume:
            self.metrics.unlink(missing_ok=True)
            (path / "progress.json").unlink(missing_ok=True)

    def log(self, **facts: Any) -> None:
        """Append one line of JSON to `metrics.jsonl`."""
        with self.metrics.open("a", encoding="utf-8") as file:
            file.write(json.dumps(facts) + "\n")

    def best(self, phase: str) -> Path:
        """The best weights of a phase."""
        return self.path / f"best-{phase}.safetensors"

    def save(self, accelerator: Accelerator, phase: str, facts: dict[str, Any]) -> None:
        """Write optimiser, weights and random states, then the note that they are whole."""
        number = facts["epochs_done"]
        state = self.path / f"state-{phase}-{number}"
        partial = state.with_name(f"{state.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        accelerator.save_state(str(partial))
        shutil.rmtree(state, ignore_errors=True)
        os.replace(partial, state)
        self.progress["phases"][phase] = facts | {"state": state.name}
        write_json(self.path / "progress.json", self.progress)
        for old in self.path.glob("state-*"):
            if old.name != state.name:
                shutil.rmtree(old, ignore_errors=True)


class PhaseTrainer:
    """Trains one phase of a recipe; `run` returns the best dev scores and leaves the model in that state."""

    def __init__(self, accelerator: Accelerator, setting: Setting, phase: PhaseRecipe, folder: RunFolder, report: Report) -> None:
        """Freeze what the phase does not train, and prepare model, optimiser and batches."""
        self.accelerator, self.setting, self.phase, self.folder, self.report = accelerator, setting, phase, folder, report
        self.model: LexLip = setting.built.model
        groups = parameter_groups(self.model, phase.rates, phase.weight_decay)
        views, seed = setting.views, setting.recipe.seed
        bag = phase.text == "bag"
        locked = phase.locked_pictures
        self.dataset = TrainingPictures(
            setting.train.split, None if locked else setting.train.pictures, phase.captions, seed, views
        )
        wanted = setting.labels if phase.loss.labels_picture or phase.loss.labels_text else None
        collate = Collator(setting.train.pieces, None if bag else setting.train.below, wanted)
        loader = DataLoader(
            self.dataset,
            batch_size=min(phase.batch, len(self.dataset)),
            shuffle=True,
            drop_last=True,
            collate_fn=collate,
            num_workers=setting.recipe.data.workers,
            generator=torch.Generator().manual_seed(seed),
        )
        self.wrapped, self.optimizer, self.loader = accelerator.prepare(self.model, make_optimizer(groups), loader)
        self.steps = max(1, phase.epochs * len(self.loader) // phase.accumulate)
        self.gather = gather_processes if accelerator.num_processes > 1 else gather_alone
        self.locked = self._lock() if locked else None
        self.labels: tuple[Tensor, Tensor] | None = None
        if wanted is not None:
            self.labels = wanted.places.to(accelerator.device), wanted.prior.to(accelerator.device)

    def _lock(self) -> Tensor:
        """Unit weights of all training pictures (P, A), the candidates of a phase whose picture side is fixed."""
        self.model.eval()
        self.report(f"{self.phase.name}: encoding the training pictures once")
        weights, rows = encode_pictures(self.model, self.setting.train)
        candidates = torch.zeros(len(self.setting.train.split), weights.shape[1])
        candidates[torch.tensor(rows)] = unit(weights)
        return candidates.to(self.accelerator.device)

    def run(self) -> Scores | None:
        """Train the phase's epochs; returns the best dev scores (None for a phase of 0 epochs)."""
        name = self.phase.name
        facts = self.folder.progress["phases"].get(name, {"epochs_done": 0, "best_total": -1.0, "best": None})
        if facts["epochs_done"]:
            self.accelerator.load_state(str(self.folder.path / facts["state"]))
            self.model.set_active(self.model.active.clone())
        best: Scores | None = None
        for epoch in range(facts["epochs_done"], self.phase.epochs):
            began = time.monotonic()
            averages = self._epoch(epoch)
            trained = time.monotonic() - began
            scores = validate(self.model, self.setting.dev, self.phase.text)
            facts["epochs_done"] = epoch + 1
            if scores.total > facts["best_total"]:
                facts |= {"best_total": scores.total, "best": scores.to_dict()}
                best = scores
                if self.accelerator.is_main_process:
                    write_tensors(self.folder.best(name), state_copy(self.model))
            if self.accelerator.is_main_process:
                rate = len(self.loader) * self.loader.batch_sampler.batch_size / max(trained, 1e-9)
                self.folder.log(
                    phase=name, epoch=epoch + 1, seconds=round(trained, 1), pictures_per_second=round(rate, 1), losses=averages,
                    dev=scores.to_dict(),
                )  # fmt: skip
                self.folder.save(self.accelerator, name, dict(facts))
            self.report(
                f"{name} epoch {epoch + 1} of {self.phase.epochs}: dev {scores.text_to_picture}, terms {scores.picture_terms}/"
                f"{scores.text_terms} a picture/caption, loss {sum(averages.values()):.3f}, {trained:.0f} s"
            )
        self.accelerator.wait_for_everyone()
        if self.folder.best(name).is_file():
            load_weights(self.model, self.folder.best(name))
        self.accelerator.free_memory()
        return best

    def _epoch(self, epoch: int) -> dict[str, float]:
        """One pass over the training pictures; returns the mean of each loss part."""
        self.wrapped.train()
        self.dataset.epoch = epoch
        self.loader.set_epoch(epoch)
        sums: dict[str, float] = defaultdict(float)
        for i, batch in enumerate(self.loader):
            step = (epoch * len(self.loader) + i) // self.phase.accumulate
            with self.accelerator.accumulate(self.wrapped):
                set_rates(self.optimizer, schedule(step, self.steps, self.phase.warm_up))
                parts, terms = self._losses(batch, step)
                self.accelerator.backward(sum(parts.values()))
                if self.accelerator.sync_gradients and self.phase.clip:
                    self.accelerator.clip_grad_norm_(self.wrapped.parameters(), self.phase.clip)
                self.optimizer.step()
                self.optimizer.zero_grad()
            for name, part in parts.items():
                sums[name] += part.item()
            if batch["skipped"]:
                self.report(f"unreadable, left out: {', '.join(batch['skipped'])}")
            if i % _LOG_EVERY == 0 and self.accelerator.is_main_process:
                self.folder.log(
                    phase=self.phase.name,
                    step=step,
                    losses={name: round(part.item(), 5) for name, part in parts.items()},
                    terms=terms,
                )
        return {name: round(total / len(self.loader), 5) for name, total in sums.items()}

    def _losses(self, batch: Batch, step: int) -> tuple[dict[str, Tensor], dict[str, float]]:
        """The loss parts of a batch, and the mean number of non-zero terms of each side."""
        outputs = self.wrapped(
            batch["ids"], batch["mask"], batch.get("pictures"), batch.get("below"), bag=self.phase.text == "bag"
        )
        parts = step_losses(
            outputs,
            self.phase.loss,
            ramp(step, self.steps, self.phase.loss.flops_ramp),
            rows=batch["rows"],
            labels=None if self.labels is None else (*self.labels, batch["labels"]),
            locked=self.locked,
            gather=self.gather,
        )
        terms = {"text": float((outputs.text_weights > 0).sum(1).float().mean())}
        if outputs.picture_logits is not None:
            terms["picture"] = float((outputs.picture_logits > 0).sum(1).float().mean())
        return parts, terms
