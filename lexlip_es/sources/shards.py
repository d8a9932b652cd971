"""Pictures in tar shards as webdataset and img2dataset write them: members KEY.jpg beside KEY.txt and/or KEY.json.

The text, or the JSON's `caption` or `captions`, is the picture's caption; the JSON's `tags`, and what is declared of it, are kept
too. A picture is named `shard.tar/KEY.jpg`, below the folder that all shards have in common; nothing is ever extracted. What
cannot be read is named, keeps the document that it may have from before, and never costs another member.
"""

import glob
import os
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice, product
from pathlib import Path

from lexlip_es.entries import Found, Skipped, moment, path_text
from lexlip_es.errors import LexlipError, UsageError
from lexlip_es.finding import Exclusion, or_nothing
from lexlip_es.formats import EXTENSIONS, unread_endings
from lexlip_es.images import MAX_FILE_BYTES, PictureError
from lexlip_es.sources import Extras
from lexlip_es.sources.columns import Misfit, read_extras, read_schema
from lexlip_es.sources.tar import MAX_CAPTION_BYTES, Damage, Member, TarMember, read_member, sidecar_values, tar_members

MAX_SHARDS = 1_000_000
"""How many names a pattern may stand for."""
_SIDECARS = (".txt", ".json")
_OTHER_KINDS = {
    "link": "It is a link within the tar file: what it leads to has its own name.",
    "sparse": "It is stored with holes (a sparse member), which is not read.",
    "other": "It is a pipe or a device, not a regular file.",
}


@dataclass(frozen=True)
class _Sidecar:
    suffix: str
    offset: int
    size: int


@dataclass(frozen=True)
class ShardMember(TarMember):
    """A picture in a shard, which also knows where its captions are."""

    beside: tuple[_Sidecar, ...] = ()


@dataclass
class _Shard:
    """What one pass over a shard's headers found."""

    pictures: dict[str, Member] = field(default_factory=dict)
    beside: dict[str, dict[str, _Sidecar]] = field(default_factory=dict)  # by key, then by suffix
    skipped: list[tuple[str, str]] = field(default_factory=list)  # the member's name, the reason
    modified: int = 0  # of the tar file, in nanoseconds since 1970


class TarShards:
    """See `PictureSource`. The pattern names tar files by `*`, `?`, `**`, `{00000..00012}` and `{a,b}`."""

    complete = True
    has_extras = True

    def __init__(self, pattern: str, *, meta: Sequence[str] = (), exclude: Sequence[str] = ()) -> None:
        """Look for the shards; raises `LexlipError` where there is none, `UsageError` for a declaration that means nothing."""
        self.meta_schema: Mapping[str, str] = read_schema(meta)
        self._excluded = Exclusion(exclude)
        self._pattern = os.path.abspath(pattern)
        self.root = path_text(os.fsencode(self._pattern))
        self._is_one = os.path.exists(self._pattern)  # whatever signs are in its name
        self._folder = Path(self._pattern).parent if self._is_one else _common_folder(self._pattern)
        if not any(path.exists() for path in self._shards()):
            raise LexlipError(f"No tar file is meant by {self.root}: check the path, and that its disk is mounted.")

    def entries(self) -> Iterator[Found | Skipped]:
        """See `PictureSource.entries`; pictures come as they lie in their shard, so that reading them in order reads forwards."""
        unread = unread_endings()
        walk = (met for path in self._shards() for met in self._of_shard(path, unread))
        yield from or_nothing(walk, f"The tar files of {self.root} hold no pictures: they must have members such as KEY.jpg.")

    def extras(self, found: Found) -> Extras:
        """See `PictureSource.extras`."""
        assert isinstance(found.place, ShardMember)
        try:
            return self._extras(found.place.path, found.place.beside)
        except ValueError as error:
            raise PictureError(f"What stands beside it is neither text in UTF-8 nor a JSON object ({error}).") from error
        except Misfit as error:
            raise PictureError(f"In its JSON, {error}") from error

    def is_there(self) -> bool:
        """See `PictureSource.is_there`: what cannot be listed has raised or hides what it has."""
        return True

    def has_lost(self, relative: bytes) -> bool:
        """See `PictureSource.has_lost`."""
        return False

    def notes(self) -> list[str]:
        """See `PictureSource.notes`."""
        return []

    def _shards(self) -> Iterator[Path]:
        """The tar files, sorted; one that a pattern of braces names need not exist."""
        if self._is_one:
            return iter((Path(self._pattern),))
        names: set[str] = set()
        for name in braces(self._pattern):
            names.update(glob.glob(name, recursive=True) if glob.has_magic(name) else [name])
        return (Path(name) for name in sorted(names, key=os.fsencode))

    def _of_shard(self, path: Path, unread: Mapping[str, str]) -> Iterator[Found | Skipped]:
        below = os.fsencode(path.relative_to(self._folder))
        shard = _Shard()
        damage = None
        with suppress(OSError):
            shard.modified = path.stat().st_mtime_ns
        for met in tar_members(path):
            if isinstance(met, Damage):
                damage = met
            else:
                _enter(shard, met)
        for name, member in shard.pictures.items():
            relative = below + b"/" + name.encode("utf-8", "surrogateescape")
            if relative in self._excluded:
                continue
            key, _, ending = name.rpartition(".")
            if reason := unread.get(f".{ending.lower()}"):
                yield Skipped(path_text(relative), reason, hides=True)
                continue
            beside = tuple(shard.beside.get(key, {}).values())
            when = moment(member.modified or shard.modified)  # a tar that is to be the same every day has no times
            found = Found(ShardMember(path, member.offset, member.size, beside), relative, member.size, when)
            try:
                if beside:
                    self.extras(found)
                yield found
            except PictureError as error:
                yield Skipped(found.display_path, error.reason, hides=True)
        for name, reason in shard.skipped:
            relative = below + b"/" + name.encode("utf-8", "surrogateescape")
            if relative not in self._excluded:
                yield Skipped(path_text(relative), reason, hides=True)
        if damage is not None:
            yield Skipped(path_text(below), damage.reason, hides=True)

    def _extras(self, path: Path, beside: tuple[_Sidecar, ...]) -> Extras:
        said = [
            read_extras(
                sidecar_values(read_member(path, at.offset, at.size), at.suffix), self.meta_schema if at.suffix == ".json" else {}
            )
            for at in beside
        ]
        captions = dict.fromkeys(caption for extras in said for caption in extras.captions)  # .txt and .json often say the same
        tags = dict.fromkeys(tag for extras in said for tag in extras.tags)
        return Extras(tuple(captions), tuple(tags), {name: value for extras in said for name, value in extras.meta.items()})


def _enter(shard: _Shard, member: Member) -> None:
    """Enter a member as a picture, or as what is said of one; hidden and other files are passed over, as in a folder."""
    name = member.name
    leads_out = name.startswith("/") or ".." in name.split("/")
    name = name if leads_out else posixpath.normpath(name)
    key, dot, ending = name.rpartition(".")
    suffix = f".{ending.lower()}"
    is_picture = suffix in EXTENSIONS
    if not dot or member.kind == "folder" or not (is_picture or suffix in _SIDECARS):
        return
    if leads_out:
        reason = "The member's name leads out of the tar file."
    elif any(part.startswith(".") for part in name.split("/")):
        return
    elif member.kind != "file":
        reason = _OTHER_KINDS[member.kind]
    elif not member.whole:
        reason = "The member is cut short: the end of the tar file is missing, or the header lies."
    elif name in shard.pictures if is_picture else suffix in shard.beside.get(key, {}):
        reason = "The tar file has another member of this name before it, which is taken."
    elif member.size > (MAX_FILE_BYTES if is_picture else MAX_CAPTION_BYTES):
        most = f"{MAX_FILE_BYTES >> 30} GiB" if is_picture else f"{MAX_CAPTION_BYTES >> 20} MiB"
        reason = f"The member is larger than {most}."
    elif is_picture:
        shard.pictures[name] = member
        return
    else:
        shard.beside.setdefault(key, {})[suffix] = _Sidecar(suffix, member.offset, member.size)
        return
    shard.skipped.append((name, reason))


# -- patterns


def braces(pattern: str) -> Iterator[str]:
    """All that `{00000..00012}` and `{a,b}` in a pattern stand for, as in a shell; a brace that is neither is itself.

    >>> list(braces("{08..10}-{a,b}.tar"))
    ['08-a.tar', '08-b.tar', '09-a.tar', '09-b.tar', '10-a.tar', '10-b.tar']

    Raises `UsageError` for more than `MAX_SHARDS` names.
    """
    choices = [_choices(part) for part in re.split(r"(\{[^{}]*\})", pattern)]
    count = 1
    for some in choices:
        count *= len(some)
    if count > MAX_SHARDS:
        raise UsageError(f"{pattern} stands for more than {MAX_SHARDS:,} tar files: name fewer at a time.")
    return ("".join(chosen) for chosen in islice(product(*choices), count))


def _choices(part: str) -> Sequence[str]:
    if span := re.fullmatch(r"\{(\d{1,18})\.\.(\d{1,18})\}", part, re.ASCII):
        first, last = int(span[1]), int(span[2])
        numbers = range(first, last + 1) if first <= last else range(first, last - 1, -1)
        if len(numbers) > MAX_SHARDS:
            raise UsageError(f"{part} stands for more than {MAX_SHARDS:,} tar files: name fewer at a time.")
        width = max(len(span[1]), len(span[2])) if span[1].startswith("0") or span[2].startswith("0") else 0
        return [f"{number:0{width}}" for number in numbers]
    return part[1:-1].split(",") if part.startswith("{") and "," in part else [part]


def _common_folder(pattern: str) -> Path:
    """The folder above the first part of a pattern that stands for several; that of the file where none does."""
    parts = Path(pattern).parts
    first = next((at for at, part in enumerate(parts) if glob.has_magic(part) or "{" in part), len(parts) - 1)
    return Path(*parts[: min(first, len(parts) - 1)])
