"""The training loop of one phase, on `accelerate`: draw, step, clip, follow, validate, keep the best.

A phase is validated on dev after each epoch, never on test; its best state (by R@1 + R@5 + R@10, text to picture) is what the
next phase, or the finished model, starts from. The whole state is written every `save_every` steps and after each epoch; what a
batch holds depends on seed, epoch and row alone, so a killed run ends with the weights of one that was not.
"""

import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor
from torch.utils.data import DataLoader

from lexlip_es.errors import LexlipError
from lexlip_training.batches import Batch, Collator, SharedBatches, TrainingPictures
from lexlip_training.checkpoint import load_weights, state_copy
from lexlip_training.data import Labels, check_bad
from lexlip_training.lexlip import LexLip
from lexlip_training.losses import gather_alone, gather_processes, ramp, step_losses, unit
from lexlip_training.masking import WholeWordMasker
from lexlip_training.optim import make_optimizer, parameter_groups, schedule, set_rates
from lexlip_training.recipe import PhaseRecipe
from lexlip_training.run_folder import RunFolder
from lexlip_training.setting import Setting
from lexlip_training.stage_2 import MomentumLearning
from lexlip_training.student import Student
from lexlip_training.teacher import Teacher
from lexlip_training.validating import Scores, encode_pictures, validate

Report = Callable[[str], None]
_LOG_EVERY = 20  # steps


class PhaseTrainer:
    """Trains one phase of a recipe; `run` returns the best dev scores and leaves the model in that state."""

    def __init__(self, accelerator: Accelerator, setting: Setting, phase: PhaseRecipe, folder: RunFolder, report: Report) -> None:
        """Freeze what the phase does not train, and prepare model, optimiser and batches."""
        self.accelerator, self.setting, self.phase, self.folder, self.report = accelerator, setting, phase, folder, report
        self.model = setting.built.model.to(accelerator.device)
        torch.manual_seed(setting.recipe.seed)  # whatever ran before, a phase starts with the same random numbers
        self.student = Student(self.model, phase)
        groups = parameter_groups(self.student, phase.rates, phase.weight_decay)
        self.gather = gather_processes if accelerator.num_processes > 1 else gather_alone
        self.stage_2 = MomentumLearning.of(setting, phase, accelerator, self.gather)
        self.locked = self._lock() if phase.locked_pictures else None
        self.labels = setting.labels if phase.loss.wants_labels else None
        self.teacher = self._find_teacher() if phase.loss.distil else None
        self._batches()
        self.wrapped, self.optimizer = accelerator.prepare(self.student, make_optimizer(groups))
        self.steps_an_epoch = -(-len(self.sampler) // phase.accumulate)
        self.steps = max(1, phase.epochs * self.steps_an_epoch)
        self.unreadable: set[str] = set()

    def _find_teacher(self) -> Teacher:
        setting, wanted = self.setting, self.setting.recipe.teacher
        if not wanted.checkpoints:
            raise LexlipError(f"phase {self.phase.name} distils, but the recipe names no teacher: set teacher.checkpoints.")
        if setting.teacher is None:
            setting.teacher = Teacher(wanted.checkpoints, wanted.temperature, setting.train, self.accelerator.device, self.report)
        return setting.teacher

    def _batches(self) -> None:
        setting, phase, train = self.setting, self.phase, self.setting.train
        pictures = None if phase.locked_pictures else train.pictures
        self.dataset = TrainingPictures(train.split, pictures, phase.captions, setting.recipe.seed, setting.views)
        losses = phase.loss
        collate = Collator(
            train.pieces,
            None if pictures is None else pictures.blank(),
            None if phase.text == "bag" else train.below,
            self.labels,
            WholeWordMasker(setting.built.lexicon) if losses.mlm or losses.picture_mlm or losses.text_mlm else None,
            phase.masking,
        )
        self.sampler = SharedBatches(
            len(self.dataset),
            phase.batch,
            setting.recipe.seed,
            self.accelerator.process_index,
            self.accelerator.num_processes,
        )
        self.loader = DataLoader(
            self.dataset,
            batch_sampler=self.sampler,
            collate_fn=collate,
            num_workers=setting.recipe.data.workers,
            generator=torch.Generator().manual_seed(0),  # else workers' seeds would be drawn from the model's random numbers
        )

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
        name, facts = self.phase.name, self.folder.facts(self.phase.name)
        if "state" in facts:
            self.folder.load(self.accelerator, name, self.stage_2)
            self._set_active()
        best: Scores | None = None
        for epoch in range(facts["epochs_done"], self.phase.epochs):
            began = time.monotonic()
            averages = self._epoch(epoch, facts)
            trained = time.monotonic() - began
            scores = validate(self.model, self.setting.dev, self.phase.text, self.gather)
            facts |= {"epochs_done": epoch + 1, "batches_done": 0, "sums": {}}
            if scores.total > facts["best_total"]:
                facts |= {"best_total": scores.total, "best": scores.to_dict()}
                best = scores
                if self.accelerator.is_main_process:
                    self.folder.save_best(name, state_copy(self.model))
            rate = round(len(self.dataset) / max(trained, 1e-9), 1)
            self.folder.log(
                phase=name,
                epoch=epoch + 1,
                seconds=round(trained, 1),
                pictures_per_second=rate,
                losses=averages,
                dev=scores.to_dict(),
            )
            self.folder.save(self.accelerator, name, facts, self.stage_2)
            self.report(
                f"{name} epoch {epoch + 1} of {self.phase.epochs}: dev {scores.text_to_picture}, terms {scores.picture_terms}/"
                f"{scores.text_terms} a picture/caption, loss {sum(averages.values()):.3f}, {trained:.0f} s"
            )
        self.accelerator.wait_for_everyone()
        if self.folder.best(name).is_file():
            load_weights(self.model, self.folder.best(name))
        self.accelerator.free_memory()
        return best

    def _set_active(self) -> None:
        """`place_of` follows from `active` and is not saved."""
        for model in (self.model, None if self.stage_2 is None else self.stage_2.copy.model):
            if isinstance(model, LexLip):
                model.set_active(model.active.clone())

    def _epoch(self, epoch: int, facts: dict[str, Any]) -> dict[str, float]:
        """One pass over the training pictures, or what a killed run left of it; returns the mean of each loss part."""
        self.wrapped.train()
        start = facts["batches_done"]
        self.dataset.epoch = self.sampler.epoch = epoch
        self.sampler.start = start
        sums: dict[str, float] = defaultdict(float, facts["sums"])
        total, accumulate = len(self.sampler), self.phase.accumulate
        began, seen = time.monotonic(), 0
        for i, batch in enumerate(self.loader, start):
            step = epoch * self.steps_an_epoch + i // accumulate
            last = (i + 1) % accumulate == 0 or i + 1 == total
            parts_of_step = min(accumulate, total - i // accumulate * accumulate)
            with nullcontext() if last else self.accelerator.no_sync(self.wrapped):
                parts, terms = self._losses(self._on_device(batch), step)
                self.accelerator.backward(sum(parts.values()) / parts_of_step)
            if self.stage_2 is not None:
                self.stage_2.queue()
            means = self._means(parts)
            for name, part in means.items():
                sums[name] += part
            self._note_unreadable(batch["skipped"])
            seen += min(self.phase.batch, len(self.dataset))
            if not last:
                continue
            set_rates(self.optimizer, schedule(step, self.steps, self.phase.warm_up))
            if self.phase.clip:
                self.accelerator.clip_grad_norm_(self.wrapped.parameters(), self.phase.clip)
            self.optimizer.step()
            self.optimizer.zero_grad()
            if self.stage_2 is not None:
                self.stage_2.follow(self.model)
            if step % _LOG_EVERY == 0:
                self._log(step, means, terms, seen / (time.monotonic() - began))
            if (step + 1) % self.setting.recipe.save_every == 0 and i + 1 < total:
                now = facts | {"epochs_done": epoch, "batches_done": i + 1, "sums": dict(sums)}
                self.folder.save(self.accelerator, self.phase.name, now, self.stage_2)
        return {name: round(value / total, 5) for name, value in sums.items()}

    def _on_device(self, batch: Batch) -> Batch:
        device = self.accelerator.device
        return {name: value.to(device) if isinstance(value, Tensor) else value for name, value in batch.items()}

    def _means(self, parts: dict[str, Tensor]) -> dict[str, float]:
        means = torch.stack([part.detach().float() for part in parts.values()])
        return dict(zip(parts, self.accelerator.reduce(means, "mean").tolist(), strict=True))

    def _log(self, step: int, means: dict[str, float], terms: dict[str, float], rate: float) -> None:
        losses = {name: round(part, 5) for name, part in means.items()}
        self.folder.log(step=step, phase=self.phase.name, losses=losses, terms=terms, pictures_per_second=round(rate, 1))
        said = ", ".join(f"{name} {value:.3f}" for name, value in losses.items())
        spoken = "/".join(f"{terms[side]:.0f}" for side in ("picture", "text") if side in terms)
        self.report(f"{self.phase.name} step {step + 1} of {self.steps}: {said}; {spoken} terms; {rate:.0f} pictures/s")

    def _note_unreadable(self, files: list[str]) -> None:
        if fresh := sorted(set(files) - self.unreadable):
            self.unreadable |= set(fresh)
            self.report(f"unreadable, left out: {', '.join(fresh)}")
            before = len(self.setting.left_out["train"])
            listed, bad = len(self.dataset) + before, before + len(self.unreadable)
            check_bad(bad, listed, self.setting.recipe.data.max_bad, "the train split")

    def _losses(self, batch: Batch, step: int) -> tuple[dict[str, Tensor], dict[str, float]]:
        """The loss parts of a batch, and the mean number of non-zero terms of each side."""
        outputs = self.wrapped(batch)
        rows, captions = batch["rows"], batch["captions"]
        if not len(self.gather(rows)):
            skipped = batch["skipped"]  # none where this process had no share of the batch
            which = f"{skipped[0]} first" if skipped else "seen by another process"
            raise LexlipError(f"a whole batch of pictures cannot be read ({which}): check data.images.")
        teacher = None if self.teacher is None else self.teacher.logits(self.gather(captions), self.gather(rows))
        contrasted = None
        if self.stage_2 is not None:
            with self.accelerator.autocast():
                contrasted = self.stage_2.contrast(outputs, batch)
        parts = step_losses(
            outputs,
            self.phase.loss,
            ramp(step, self.steps, self.phase.loss.flops_ramp),
            rows=rows,
            labels=None if self.labels is None else (*self._labels(self.labels), batch["labels"]),
            locked=self.locked,
            teacher=teacher,
            contrasted=contrasted,
            gather=self.gather,
        )
        terms = {"text": _non_zero(outputs.texts)}
        if outputs.pictures is not None:
            terms["picture"] = _non_zero(outputs.pictures)
        return parts, terms

    def _labels(self, labels: Labels) -> tuple[Tensor, Tensor]:
        device = self.accelerator.device
        return labels.places.to(device), labels.prior.to(device)


def _non_zero(weights: Tensor) -> float:
    return float((weights > 0).sum(1).float().mean()) if len(weights) else 0.0
