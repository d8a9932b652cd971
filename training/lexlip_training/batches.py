"""Batches: what is drawn in each step, how it is shared out to processes, and how examples become tensors.

A batch is a dictionary: `pictures` uint8 (B, S, S, 3) or the cached prefix's outputs (B, ...), `rows` (B,) the pictures' places
in the split, `ids` and `mask` (B·c, L) for c captions a picture (picture by picture), `below` (B·c, L, D) where the text prefix
is cached, `captions` (B·c,) their numbers in the split, `labels` (B, S) where the loss wants them, `skipped` names of pictures
that could not be read. Stage 1 adds `masked_ids`, `masked_at` and `bottleneck_ids`, `bottleneck_at`, all (B·c, L): a caption with
whole words hidden, and where.

A process whose pictures were all unreadable, or whose share of the last batch is empty, gets one blank picture with `rows`,
`captions` and `labels` empty: it computes along, so that the others need not wait, and counts for nothing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from lexlip_es.images import PictureError
from lexlip_training.data import Labels, PictureSource, Pieces, Split, pad
from lexlip_training.masking import WholeWordMasker
from lexlip_training.recipe import MaskingRecipe

Batch = dict[str, Any]


class SharedBatches(Sampler[list[int]]):
    """Batches of rows, the same global ones for any number of processes; each process gets its share, in order.

    `count` rows are shuffled anew in each epoch. A last, smaller batch is trained on if it is at least half a batch: a much
    smaller one would be a noisy step. `start` is the batch that an epoch begins with after a resume.
    """

    def __init__(self, count: int, batch: int, seed: int, rank: int = 0, processes: int = 1) -> None:
        """`batch` is the global size, `rank` this process among `processes`."""
        self.count, self.batch, self.seed, self.rank, self.processes = count, min(batch, count), seed, rank, processes
        self.epoch = self.start = 0

    def __len__(self) -> int:
        whole, rest = divmod(self.count, self.batch)
        return whole + (2 * rest >= self.batch)

    def __iter__(self) -> Iterator[list[int]]:
        order = np.random.default_rng((self.seed, self.epoch)).permutation(self.count)
        for i in range(self.start, len(self)):
            rows = order[i * self.batch : (i + 1) * self.batch]
            own = [len(rows) * place // self.processes for place in (self.rank, self.rank + 1)]
            yield rows[own[0] : own[1]].tolist()


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
        example["masking"] = rng.integers(2**31, size=self.captions)  # a seed for each caption's hidden words
        if self.pictures is not None:
            plain = self.views > 0 and rng.integers(self.views + 1) == 0
            try:
                example["picture"] = self.pictures.get(row, None if plain else rng)
            except PictureError:
                example["unreadable"] = True
        return example


@dataclass(frozen=True)
class Collator:
    """Examples -> a batch; see the module's docstring for its keys.

    `blank` is a picture of nothing (None in a locked phase), `below` (all tokens of `pieces`, D) the cached text prefix.
    """

    pieces: Pieces
    blank: Tensor | None = None
    below: NDArray[np.float16] | None = None
    labels: Labels | None = None
    masker: WholeWordMasker | None = None
    masking: MaskingRecipe = MaskingRecipe()  # noqa: RUF009 (frozen)

    def __call__(self, examples: Sequence[dict[str, Any]]) -> Batch:
        """See the class."""
        kept = [example for example in examples if "unreadable" not in example]
        drawn = [example["captions"] for example in kept]
        captions = np.concatenate(drawn) if drawn else np.zeros(1, np.int64)  # (B·c,) picture by picture; a blank says anything
        ids, mask = self.pieces.padded(captions)
        batch: Batch = {
            "rows": torch.tensor([example["row"] for example in kept], dtype=torch.int64),
            "captions": torch.from_numpy(captions[: len(captions) if kept else 0]),
            "ids": ids,
            "mask": mask,
            "skipped": [example["file"] for example in examples if "unreadable" in example],
        }
        if self.blank is not None:
            batch["pictures"] = torch.stack([example["picture"] for example in kept] if kept else [self.blank])
        if self.below is not None:
            batch["below"] = pad_hidden(self.below, self.pieces, captions, ids.shape[1])
        if self.labels is not None:
            batch["labels"] = torch.from_numpy(self.labels.targets[batch["rows"].numpy()].astype(np.float32))
        if self.masker is not None:
            seeds = np.concatenate([example["masking"] for example in kept]) if kept else np.zeros(1, np.int64)
            batch |= self._masked("masked", self.masking.caption, captions, seeds)
            batch |= self._masked("bottleneck", self.masking.bottleneck, captions, seeds + 2**31)  # hidden afresh
        return batch

    def _masked(self, name: str, share: float, captions: NDArray[np.int64], seeds: NDArray[np.int64]) -> Batch:
        assert self.masker is not None
        found = [
            self.masker.mask(self.pieces.caption(int(caption)), share, np.random.default_rng(int(seed)))
            for caption, seed in zip(captions, seeds, strict=True)
        ]
        ids, _ = pad([hidden for hidden, _ in found])
        at, _ = pad([selected.astype(np.int32) for _, selected in found])
        return {f"{name}_ids": ids, f"{name}_at": at > 0}


def pad_hidden(below: NDArray[np.float16], pieces: Pieces, captions: NDArray[np.int64], length: int) -> Tensor:
    """Cached hidden states of captions, padded with zeros: (n, length, D) float32."""
    hidden = np.zeros((len(captions), length, below.shape[1]), np.float32)
    for i, caption in enumerate(captions):
        start, end = pieces.offsets[caption], pieces.offsets[caption + 1]
        hidden[i, : end - start] = below[start:end]
    return torch.from_numpy(hidden)
