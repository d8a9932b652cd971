"""Captioned pictures for training: splits, pieces, views and batches.

A batch is a dictionary: `pictures` uint8 (B, S, S, 3) or the cached prefix's outputs (B, ...), `rows` (B,) the pictures' places
in the split, `ids` and `mask` (B·c, L) for c captions a picture (picture by picture), `below` (B·c, L, D) where the text prefix
is cached, `labels` (B, S) where the loss wants them, `skipped` names of pictures that could not be read.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from tokenizers import Tokenizer
from torch import Tensor
from torch.utils.data import Dataset

from lexlip_es.captions import read_captions
from lexlip_es.errors import LexlipError
from lexlip_es.images import PictureError, PictureSpec, open_picture
from lexlip_training.recipe import AugmentRecipe, DataRecipe

Batch = dict[str, Any]


@dataclass(frozen=True)
class Split:
    """Pictures with their captions; captions are numbered through, picture by picture."""

    name: str
    folder: Path
    files: tuple[str, ...]
    captions: tuple[tuple[str, ...], ...]

    def __len__(self) -> int:
        return len(self.files)

    @property
    def texts(self) -> list[str]:
        """All captions in order."""
        return [text for own in self.captions for text in own]

    @property
    def starts(self) -> NDArray[np.int64]:
        """(P + 1,) the number of each picture's first caption."""
        return np.cumsum([0, *map(len, self.captions)])

    @property
    def picture_of(self) -> NDArray[np.int64]:
        """(number of captions,) the picture of each caption."""
        return np.repeat(np.arange(len(self)), [len(own) for own in self.captions])

    def without(self, left_out: Sequence[str]) -> "Split":
        """The split without the named files."""
        gone = set(left_out)
        kept = [i for i, file in enumerate(self.files) if file not in gone]
        return Split(self.name, self.folder, tuple(self.files[i] for i in kept), tuple(self.captions[i] for i in kept))


def load_split(recipe: DataRecipe, name: str) -> tuple[Split, list[str]]:
    """The split `name` ("train", "dev", "test") and the listed pictures that are missing or have no caption.

    A split list has one file name a line and lies beside the captions file (or is an absolute path). Without a list for
    "train", every captioned picture is taken. Raises `LexlipError` where folder, captions or list are missing, or nothing is
    left.
    """
    if not recipe.images or not recipe.captions:
        raise LexlipError("the recipe does not say where the data is: add --set data.images=FOLDER --set data.captions=FILE.")
    folder, captions_path = Path(recipe.images), Path(recipe.captions)
    if not folder.is_dir():
        raise LexlipError(f"{folder} is not a folder of pictures: correct data.images.")
    captions = read_captions(captions_path)
    listed: str = getattr(recipe, name)
    if listed:
        try:
            lines = (captions_path.parent / listed).read_text(encoding="utf-8").splitlines()
        except OSError as error:
            raise LexlipError(f"the split list {captions_path.parent / listed} cannot be read: correct data.{name}.") from error
        files = list(dict.fromkeys(line.strip() for line in lines if line.strip()))
    elif name == "train":
        files = list(captions)
    else:
        raise LexlipError(f"the recipe names no {name} split: set data.{name} to a list of file names.")
    present = [file for file in files if captions.get(file) and (folder / file).is_file()]
    if not present:
        raise LexlipError(f"no picture of the {name} split is in {folder} with a caption: check data.images and data.captions.")
    absent = sorted(set(files) - set(present))
    return Split(name, folder, tuple(present), tuple(tuple(captions[file]) for file in present)), absent


@dataclass(frozen=True)
class Pieces:
    """Captions as vocabulary ids, flat: caption i is `ids[offsets[i]:offsets[i + 1]]`, [CLS] and [SEP] included."""

    ids: NDArray[np.int32]
    offsets: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def caption(self, i: int) -> NDArray[np.int32]:
        """The ids of caption i."""
        return self.ids[self.offsets[i] : self.offsets[i + 1]]

    def padded(self, captions: Sequence[int] | NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """ids int64 (n, L) and mask bool (n, L) of the given captions, L the longest of them."""
        return pad([self.caption(int(i)) for i in captions])


def pad(rows: Sequence[NDArray[np.int32]]) -> tuple[Tensor, Tensor]:
    """Ragged ids -> ids int64 (n, L) padded with 0 = [PAD], mask bool (n, L)."""
    ids = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.int64)
    mask = torch.zeros_like(ids, dtype=torch.bool)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = torch.from_numpy(row.astype(np.int64))
        mask[i, : len(row)] = True
    return ids, mask


def tokenise(texts: Sequence[str], tokenizer_file: Path, max_tokens: int) -> Pieces:
    """WordPiece ids of texts, cut to `max_tokens`."""
    tokenizer = Tokenizer.from_file(str(tokenizer_file))
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_tokens)
    rows = [encoding.ids for encoding in tokenizer.encode_batch(list(texts))]
    return Pieces(np.array([i for row in rows for i in row], np.int32), np.cumsum([0, *map(len, rows)]))


def random_view(pixels: NDArray[np.uint8], recipe: AugmentRecipe, size: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A random crop of (S, S, 3), brought to (size, size, 3); its area is at least `min_area` of the picture's."""
    area, stretch = rng.uniform(recipe.min_area, 1.0), math.exp(rng.uniform(-recipe.max_stretch, recipe.max_stretch))
    wide, high = min(1.0, math.sqrt(area * stretch)), min(1.0, math.sqrt(area / stretch))
    left, top = rng.uniform(0.0, 1.0 - wide), rng.uniform(0.0, 1.0 - high)
    height, width = pixels.shape[:2]
    box = (left * width, top * height, (left + wide) * width, (top + high) * height)
    return np.asarray(Image.fromarray(pixels).resize((size, size), Image.Resampling.BICUBIC, box=box))


def make_randaugment(policy: str, mean: Sequence[float]) -> Callable[[Image.Image], Image.Image] | None:
    """timm's RandAugment for a policy such as "rand-m9-n2", or None for an empty one."""
    if not policy:
        return None
    from timm.data.auto_augment import rand_augment_transform  # only live recipes need it

    fill = tuple(round(255 * value) for value in mean)
    made: Callable[[Image.Image], Image.Image] = rand_augment_transform(policy, {"img_mean": fill})
    return made


class PictureSource(Protocol):
    """Where a training example's picture comes from: decoded live, or a cached prefix."""

    def get(self, row: int, rng: np.random.Generator | None) -> Tensor:
        """The picture at `row`: the plain one, or a random view where an `rng` is given; raises `PictureError`."""


class LivePictures:
    """Pictures decoded when they are asked for: uint8 (S, S, 3)."""

    def __init__(self, split: Split, spec: PictureSpec, augment: AugmentRecipe, mean: Sequence[float]) -> None:
        """The pictures of a split as `spec` and, for random views, `augment` say; `mean` fills what RandAugment moves away."""
        self.split, self.spec, self.augment = split, spec, augment
        self._randaugment = make_randaugment(augment.randaugment, mean)

    def get(self, row: int, rng: np.random.Generator | None) -> Tensor:
        """See `PictureSource`."""
        pixels = open_picture(self.split.folder / self.split.files[row], self.spec).pixels
        if rng is not None:
            pixels = random_view(pixels, self.augment, self.spec.size, rng)
            if self._randaugment is not None:
                pixels = np.asarray(self._randaugment(Image.fromarray(pixels)))
        return torch.from_numpy(np.array(pixels))


@dataclass(frozen=True)
class Labels:
    """Multi-label targets of pictures: the share of a picture's captions that contain a piece.

    `places` (S,) the active pieces that are labels, `prior` (S,) the logit of each one's base rate, `targets` (P, S) float16.
    """

    places: Tensor
    prior: Tensor
    targets: NDArray[np.float16]


def make_labels(split: Split, pieces: Pieces, place_of: NDArray[np.int64], min_mass: float = 1.0) -> Labels:
    """Labels of a split: the active pieces whose targets sum to `min_mass` pictures at least.

    `place_of` (V,) gives each piece's place among the active ones, or -1.
    """
    starts = split.starts
    targets = np.zeros((len(split), int(place_of.max()) + 1), np.float32)
    for row in range(len(split)):
        own = range(starts[row], starts[row + 1])
        for i in own:
            places = place_of[np.unique(pieces.caption(i))]
            targets[row, places[places >= 0]] += 1.0 / len(own)
    mass = targets.sum(0)
    chosen = np.flatnonzero(mass >= min_mass)
    rate = np.minimum(mass[chosen] / len(split), 0.99)
    prior = torch.from_numpy(np.log(rate / (1 - rate)).astype(np.float32))
    return Labels(torch.from_numpy(chosen), prior, targets[:, chosen].astype(np.float16))


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
