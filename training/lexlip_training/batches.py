"""Batches: what is drawn in each step, how it is shared out to processes, and how examples become tensors.

A batch is a dictionary: `pictures` uint8 (B, S, S, 3) or the cached prefix's outputs (B, ...), `rows` (B,) the pictures' places
in the split, `ids` and `mask` (B·c, L) for c captions a picture (picture by picture), `below` (B·c, L, D) where the text prefix
is cached, `labels` (B, S) where the loss wants them, `skipped` names of pictures that could not be read.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from lexlip_es.errors import LexlipError
from lexlip_es.images import PictureError
from lexlip_training.data import Labels, PictureSource, Pieces, Split

Batch = dict[str, Any]


class TrainingPictures(Dataset[dict[str, Any]]):
    """Examples of a split: one picture (a random view) and `captions` of its captions, drawn anew in each epoch.

    What is drawn depends on seed, epoch and row only, so a resumed run sees what an uninterrupted one would have seen.
    """

    def __init__(self, split: Split, pictures: PictureSource | None, captions: int, seed: int, views: int) -> None:
        """Without `pictures` (locked phase) examples carry none.

        `views` random ones stand beside the plain picture (0: always random).
        """
        self.split, self.pictures, self.captions, self.seed, self.views = split, pictures, captions, seed, views
        self._starts = split.starts
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, row: int) -> dict[str, Any]:
        rng = np.random.default_rng((self.seed, self.epoch, row))
        first, end = int(self._starts[row]), int(self._starts[row + 1])
        drawn = rng.permutation(np.arange(first, end))[: self.captions]
        drawn = np.resize(drawn, self.captions)  # a picture with too few captions says them again
        example: dict[str, Any] = {"row": row, "captions": drawn, "file": self.split.files[row]}
        if self.pictures is not None:
            plain = self.views > 0 and rng.integers(self.views + 1) == 0
            try:
                example["picture"] = self.pictures.get(row, None if plain else rng)
            except PictureError:
                example["unreadable"] = True
        return example


class Collator:
    """Examples -> a batch; pictures that could not be read are left out and named in `skipped`."""

    def __init__(self, pieces: Pieces, below: NDArray[np.float16] | None = None, labels: Labels | None = None) -> None:
        """`below` (all tokens of `pieces`, D) is the cached text prefix."""
        self.pieces, self.below, self.labels = pieces, below, labels

    def __call__(self, examples: Sequence[dict[str, Any]]) -> Batch:
        """See the module's docstring for the keys."""
        kept = [example for example in examples if "unreadable" not in example]
        skipped = [example["file"] for example in examples if "unreadable" in example]
        if not kept:
            raise LexlipError(f"a whole batch of pictures cannot be read ({skipped[0]} first): check data.images.")
        captions = np.concatenate([example["captions"] for example in kept])  # (B·c,) picture by picture
        ids, mask = self.pieces.padded(captions)
        batch: Batch = {
            "rows": torch.tensor([example["row"] for example in kept]),
            "ids": ids,
            "mask": mask,
            "skipped": skipped,
        }
        if "picture" in kept[0]:
            batch["pictures"] = torch.stack([example["picture"] for example in kept])
        if self.below is not None:
            batch["below"] = pad_hidden(self.below, self.pieces, captions, ids.shape[1])
        if self.labels is not None:
            batch["labels"] = torch.from_numpy(self.labels.targets[batch["rows"].numpy()].astype(np.float32))
        return batch


def pad_hidden(below: NDArray[np.float16], pieces: Pieces, captions: NDArray[np.int64], length: int) -> Tensor:
    """Cached hidden states of captions, padded with zeros: (n, length, D) float32."""
    hidden = np.zeros((len(captions), length, below.shape[1]), np.float32)
    for i, caption in enumerate(captions):
        start, end = pieces.offsets[caption], pieces.offsets[caption + 1]
        hidden[i, : end - start] = below[start:end]
    return torch.from_numpy(hidden)
