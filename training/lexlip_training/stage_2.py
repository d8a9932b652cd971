"""Stage 2's step: queries from the student, keys from its momentum copy, negatives from the queues.

Each caption finds its own picture's momentum key among the queued pictures (and, if the recipe says so, the batch's), and each
picture its own captions' keys. Keys carry their picture and what is said of it, so that no query meets its own picture, or a
picture with an identical caption, as a negative (LexLIP section 3.3; a small data set's queue would be full of them).
"""

from typing import Self

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from lexlip_es.errors import UsageError
from lexlip_training.batches import Batch
from lexlip_training.data import caption_ids
from lexlip_training.lexlip import Outputs
from lexlip_training.losses import Gather, mean_over_all, unit
from lexlip_training.momentum import Momentum, check_keys, momentum_contrast
from lexlip_training.queues import KeyQueue
from lexlip_training.recipe import PhaseRecipe
from lexlip_training.setting import Setting


class MomentumLearning(nn.Module):
    """The momentum copy with its queues, and what a step does with them; its state is the queues' and the copy's."""

    said: Tensor
    said_of: Tensor

    def __init__(self, setting: Setting, phase: PhaseRecipe, gather: Gather) -> None:
        """Copy the model as it stands (the best state of the phase before). Raises `UsageError` for too long a queue."""
        super().__init__()
        train, model = setting.train, setting.built.model
        check_keys(phase.momentum.keys, len(train.split))
        if phase.text == "bag" or phase.locked_pictures:
            raise UsageError(f"phase {phase.name} has momentum.keys, which needs both towers: set text to 'tower', unlocked.")
        self.phase, self.gather = phase, gather
        self.waiting: list[tuple[Tensor, Tensor, Tensor]] = []
        identical = caption_ids(train.pieces)  # (T,)
        starts = train.split.starts
        most = int(np.diff(starts).max())
        of = np.full((len(train.split), most), -1, np.int64)  # (P, c) what is said of each picture
        for row in range(len(train.split)):
            of[row, : starts[row + 1] - starts[row]] = identical[starts[row] : starts[row + 1]]
        width = setting.recipe.dense_dim if setting.recipe.kind == "dense" else len(model.active)
        self.copy = Momentum(model, phase.momentum.keys, width, stored_terms=phase.momentum.stored_terms, captions=most)
        self.register_buffer("said", torch.from_numpy(identical), persistent=False)
        self.register_buffer("said_of", torch.from_numpy(of), persistent=False)

    @classmethod
    def of(cls, setting: Setting, phase: PhaseRecipe, accelerator: Accelerator, gather: Gather) -> Self | None:
        """What the phase asks for; None where it has no queue."""
        return cls(setting, phase, gather).to(accelerator.device) if phase.momentum.keys else None

    def contrast(self, outputs: Outputs, batch: Batch) -> Tensor:
        """The mean of both directions over the global batch; `queue` takes the keys after the backward pass."""
        rows, captions = batch["rows"], batch["captions"]
        each = len(captions) // max(1, len(rows))  # captions a picture
        keys = self.copy(batch["ids"], batch["mask"], batch["pictures"], batch.get("below")).cut(len(rows))
        pictures, texts = unit(keys.pictures), unit(keys.texts)  # own (B, A), (B·c, A)
        everyone = [self.gather(part) for part in (pictures, texts, rows, captions, rows.repeat_interleave(each))]
        assert outputs.pictures is not None
        by_text = self._direction(
            unit(outputs.texts), pictures.repeat_interleave(each, 0), rows.repeat_interleave(each), self.said[captions],
            self.copy.picture_keys, (everyone[0], everyone[2], self.said_of[everyone[2]]),
        )  # fmt: skip
        by_picture = self._direction(
            unit(outputs.pictures).repeat_interleave(each, 0), texts, rows.repeat_interleave(each),
            self.said_of[rows].repeat_interleave(each, 0), self.copy.text_keys,
            (everyone[1], everyone[4], self.said[everyone[3]]),
        )  # fmt: skip
        self.waiting = [(everyone[0], everyone[2], self.said_of[everyone[2]]), (everyone[1], everyone[4], self.said[everyone[3]])]
        return (by_text + by_picture) / 2

    def _direction(
        self, queries: Tensor, positives: Tensor, pictures: Tensor, said: Tensor, queue: KeyQueue, batch: tuple[Tensor, ...]
    ) -> Tensor:
        keys = batch if self.phase.momentum.batch_negatives else (None, None, None)
        total = momentum_contrast(
            queries, positives, pictures, said, queue, self.phase.loss.temperature,
            batch_keys=keys[0], batch_pictures=keys[1], batch_captions=keys[2], reduction="sum",
        )  # fmt: skip
        return mean_over_all(total, len(queries), self.gather)

    def queue(self) -> None:
        """The batch's keys join the queues; after the backward pass, which still needs the queues as they were."""
        self.copy.picture_keys.push(*self.waiting[0])
        self.copy.text_keys.push(*self.waiting[1])

    def follow(self, model: nn.Module) -> None:
        """The copy follows the model: once an optimiser step."""
        self.copy.update(model, self.phase.momentum.momentum)
