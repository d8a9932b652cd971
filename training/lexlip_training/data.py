"""Captioned pictures for training: splits, captions as pieces, labels."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor

from lexlip_es.captions import read_captions
from lexlip_es.errors import LexlipError
from lexlip_training.parquet import read_parquet_captions
from lexlip_training.recipe import DataRecipe
from lexlip_training.shards import ShardedPictures, split_of_shards


@dataclass(frozen=True)
class Split:
    """Pictures with their captions; captions are numbered through, picture by picture."""

    name: str
    folder: Path
    files: tuple[str, ...]
    captions: tuple[tuple[str, ...], ...]
    shards: ShardedPictures | None = None  # where the pictures are inside tar files; None: they are files in `folder`

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
        files, captions = tuple(self.files[i] for i in kept), tuple(self.captions[i] for i in kept)
        return Split(self.name, self.folder, files, captions, None if self.shards is None else self.shards.only(kept))

    def picture(self, row: int) -> Path | bytes:
        """The picture at `row` as `open_picture` takes it: a file, or its content; raises `PictureError`."""
        return self.folder / self.files[row] if self.shards is None else self.shards.read(row)


def load_split(recipe: DataRecipe, name: str) -> tuple[Split, list[str]]:
    """The split `name` ("train", "dev", "test") and the names of pictures that are missing or have no caption.

    A split list has one file name a line and lies beside the captions file (or is an absolute path). Without a list for
    "train", every captioned picture is taken. With shards a split is a glob of tar files, and "train", where it is not set, is
    every tar file that the others do not name; a damaged one is named among the missing. Raises `LexlipError` where folder,
    captions or list are missing, where nothing is left, or where more than `max_bad` of the pictures are missing.
    """
    if name != "train" and not getattr(recipe, name):
        what = "a glob of tar files" if recipe.shards else "a list of file names"
        raise LexlipError(f"the recipe names no {name} split: set data.{name} to {what}.")
    if recipe.shards:
        return _split_in_shards(recipe, name)
    return _split_in_folder(recipe, name)


def check_bad(bad: int, listed: int, max_bad: float, what: str) -> None:
    """Stop a run whose data is not what it should be: `bad` of `listed` pictures of `what` cannot be used.

    Raises `LexlipError` where their share is above `max_bad`.
    """
    if bad > max_bad * listed:
        raise LexlipError(
            f"{bad} of {listed} pictures of {what} ({bad / listed:.1%}) are missing, uncaptioned or unreadable, more than the "
            f"{max_bad:.1%} that data.max_bad allows: correct the data, or raise it."
        )


def _split_in_shards(recipe: DataRecipe, name: str) -> tuple[Split, list[str]]:
    if recipe.images or recipe.captions:
        raise LexlipError("the recipe names both data.shards and data.images or data.captions: leave one of them empty.")
    folder = Path(recipe.shards)
    reading = split_of_shards(folder, getattr(recipe, name), (recipe.dev, recipe.test), f"data.{name}")
    check_bad(reading.bad, len(reading.files) + reading.bad, recipe.max_bad, f"the {name} split")
    return Split(name, folder, reading.files, reading.captions, reading.pictures), sorted(reading.left_out)


def _split_in_folder(recipe: DataRecipe, name: str) -> tuple[Split, list[str]]:
    if not recipe.images or not recipe.captions:
        raise LexlipError(
            "the recipe does not say where the data is: add --set data.images=FOLDER --set data.captions=FILE, "
            "or --set data.shards=FOLDER."
        )
    folder, captions_path = Path(recipe.images), Path(recipe.captions)
    if not folder.is_dir():
        raise LexlipError(f"{folder} is not a folder of pictures: correct data.images.")
    parquet = captions_path.suffix.lower() in (".parquet", ".pq")
    captions = read_parquet_captions(captions_path) if parquet else read_captions(captions_path)
    if listed := getattr(recipe, name):
        try:
            lines = (captions_path.parent / listed).read_text(encoding="utf-8").splitlines()
        except OSError as error:
            raise LexlipError(f"the split list {captions_path.parent / listed} cannot be read: correct data.{name}.") from error
        files = list(dict.fromkeys(line.strip() for line in lines if line.strip()))
    else:
        files = list(captions)
    present = [file for file in files if captions.get(file) and (folder / file).is_file()]
    if not present:
        raise LexlipError(f"no picture of the {name} split is in {folder} with a caption: check data.images and data.captions.")
    absent = sorted(set(files) - set(present))
    check_bad(len(absent), len(files), recipe.max_bad, f"the {name} split")
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


def caption_ids(pieces: Pieces) -> NDArray[np.int64]:
    """(T,) one number a caption, the same where the pieces are the same: such captions describe each other's pictures too."""
    seen: dict[bytes, int] = {}
    return np.array([seen.setdefault(pieces.caption(i).tobytes(), len(seen)) for i in range(len(pieces))], np.int64)


class PictureSource(Protocol):
    """Where a training example's picture comes from: decoded live, or a cached prefix."""

    def get(self, row: int, rng: np.random.Generator | None) -> Tensor:
        """The picture at `row`: the plain one, or a random view where an `rng` is given; raises `PictureError`."""

    def blank(self) -> Tensor:
        """A picture of nothing: zeros of the shape and type that `get` gives."""


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
