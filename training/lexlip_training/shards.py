"""Captioned pictures in webdataset shards of the img2dataset layout, read where they lie.

A shard is an uncompressed tar file with members KEY.jpg (or .jpeg, .png, .webp, .gif) and KEY.txt and/or KEY.json, an object with
a text "caption" or a list "captions". One pass over the headers makes an index of where each picture's bytes are; nothing is ever
extracted. A picture is named "shard.tar/KEY.jpg".

What cannot be used is named and left out, and never takes the rest with it: a picture without a caption, a caption without a
picture, a member too large or cut short, a second picture of the same key, a damaged shard (what is found beyond the damage is
kept).
"""

import glob
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lexlip_es.errors import LexlipError
from lexlip_es.images import MAX_FILE_BYTES
from lexlip_es.sources.tar import MAX_CAPTION_BYTES, Damage, Member, read_member, sidecar_values, tar_members

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif")


@dataclass(frozen=True, eq=False)
class ShardedPictures:
    """Where the bytes of P pictures are: picture i is `size[i]` bytes at `offset[i]` of the file `paths[shard[i]]`."""

    paths: tuple[Path, ...]
    shard: NDArray[np.int32]  # (P,)
    offset: NDArray[np.int64]  # (P,)
    size: NDArray[np.int64]  # (P,)

    def __len__(self) -> int:
        return len(self.shard)

    def only(self, rows: Sequence[int]) -> "ShardedPictures":
        """The pictures at `rows`, in that order."""
        at = np.asarray(rows, np.int64)
        return ShardedPictures(self.paths, self.shard[at], self.offset[at], self.size[at])

    def read(self, row: int) -> bytes:
        """The picture file's content; safe from any thread and any forked process. Raises `PictureError`."""
        return read_member(self.paths[self.shard[row]], int(self.offset[row]), int(self.size[row]))


@dataclass(frozen=True)
class ShardReading:
    """What shards hold: P pictures with their captions, and the names of what was left out.

    `bad` counts pictures that cannot be used. A damaged shard counts for as many as it lacks to the average undamaged one (at
    least 1), since nobody can tell what it held.
    """

    files: tuple[str, ...]
    captions: tuple[tuple[str, ...], ...]
    pictures: ShardedPictures
    left_out: tuple[str, ...]
    bad: int


def shard_names(folder: Path, pattern: str) -> list[str]:
    """The files below `folder` that a glob names ("dev-*.tar", "**/*.tar"), sorted, "/" between folders."""
    found = glob.glob(pattern, root_dir=folder, recursive=True)
    return sorted(Path(name).as_posix() for name in found if (folder / name).is_file())


def read_shards(folder: Path, names: Sequence[str]) -> ShardReading:
    """Index the named tar files below `folder`. Never raises for what is wrong with a shard; see the module's docstring."""
    files: list[str] = []
    captions: list[tuple[str, ...]] = []
    shard, offset, size = array("i"), array("q"), array("q")  # compact: a data set may have a hundred million members
    left_out: list[str] = []
    whole: list[int] = []  # how many pictures each shard gave
    damaged: list[int] = []
    bad = 0
    for number, name in enumerate(names):
        found = _index(folder / name)
        for key in sorted(found.pictures.keys() | found.captions.keys(), key=found.order):
            if key in found.pictures and found.captions.get(key):
                suffix, at, length = found.pictures[key]
                files.append(f"{name}/{key}{suffix}")
                captions.append(found.captions[key])
                shard.append(number)
                offset.append(at)
                size.append(length)
            elif key in found.pictures:
                found.left_out.append(key + found.pictures[key][0])
            elif key not in found.bad_keys:  # else its picture is named already
                found.left_out.append(key)
        bad += len(found.left_out)
        left_out += [f"{name}/{member}" for member in found.left_out]
        if found.damaged:
            left_out.append(name)
        (damaged if found.damaged else whole).append(len(found.pictures.keys() & found.captions.keys()))
    usual = round(sum(whole) / len(whole)) if whole else 0
    bad += sum(max(1, usual - count) for count in damaged)
    places = ShardedPictures(
        tuple(folder / name for name in names), np.array(shard, np.int32), np.array(offset, np.int64), np.array(size, np.int64)
    )
    return ShardReading(tuple(files), tuple(captions), places, tuple(left_out), bad)


def split_of_shards(folder: Path, pattern: str, others: Sequence[str], what: str) -> ShardReading:
    """Read a split: the shards that `pattern` names, or, where it is empty, all *.tar that the `others` patterns do not name.

    Raises `LexlipError` where the folder or any usable picture is missing; `what` names the setting.
    """
    if not folder.is_dir():
        raise LexlipError(f"{folder} is not a folder of tar files: correct data.shards.")
    taken = {name for other in others if other for name in shard_names(folder, other)}
    names = shard_names(folder, pattern) if pattern else [name for name in shard_names(folder, "*.tar") if name not in taken]
    if not names:
        raise LexlipError(f"no tar file in {folder} is meant by {pattern or '*.tar'!r}: correct {what}.")
    reading = read_shards(folder, names)
    if not reading.files:
        raise LexlipError(
            f"no picture with a caption is in the {len(names)} shards of {what} ({names[0]} first): they must be uncompressed "
            "tar files with members KEY.jpg and KEY.txt or KEY.json."
        )
    return reading


# -- one shard


@dataclass
class _Index:
    """One shard's usable members by key; `left_out` names members (or keys) that are not usable."""

    pictures: dict[str, tuple[str, int, int]] = field(default_factory=dict)  # suffix, offset, size
    captions: dict[str, tuple[str, ...]] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    bad_keys: set[str] = field(default_factory=set)  # keys whose picture is in `left_out`
    damaged: bool = False

    def order(self, key: str) -> tuple[int, str]:
        """Sorts pictures as they lie in the shard, so that reading them in order reads forwards; the others come last."""
        return (self.pictures[key][1], key) if key in self.pictures else (1 << 62, key)


def _index(path: Path) -> _Index:
    """One pass over a shard's headers."""
    found = _Index()
    for met in tar_members(path):
        if isinstance(met, Damage):
            found.damaged = True
        elif met.kind == "file":
            _add(path, met, found)
    return found


def _add(path: Path, member: Member, found: _Index) -> None:
    """Enter one regular member under its key."""
    key, dot, ending = member.name.rpartition(".")
    suffix = f".{ending}"
    kind = suffix.lower()
    if not dot or (kind not in PICTURE_SUFFIXES and kind not in (".txt", ".json")):
        return  # webdataset keeps other things beside (.cls, .npy); they say nothing to us
    if kind in PICTURE_SUFFIXES:
        if not member.whole or not 0 < member.size <= MAX_FILE_BYTES or key in found.pictures:
            found.left_out.append(member.name)
            found.bad_keys.add(key)
        else:
            found.pictures[key] = (suffix, member.offset, member.size)
    else:
        said: list[str] = []
        if member.whole and member.size <= MAX_CAPTION_BYTES:
            said = _captions(read_member(path, member.offset, member.size), kind)
        found.captions[key] = tuple(dict.fromkeys([*found.captions.get(key, ()), *said]))  # .txt and .json often say the same


def _captions(data: bytes, kind: str) -> list[str]:
    """The captions of a member, blank ones left out; [] where it cannot be understood."""
    try:
        values = sidecar_values(data, kind)
        said = values.get("captions") or values.get("caption")
        texts = said if isinstance(said, list) else [said]
        kept = [text.strip() for text in texts if isinstance(text, str)]
        "".join(kept).encode()  # JSON can spell half of a surrogate pair
    except ValueError:
        return []
    return [text for text in kept if text]
