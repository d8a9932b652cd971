"""What a source of pictures lists: each file that should be a picture, or why one could not be looked at.

A `Found` says where its content is by a `Place`, which knows how to read it and can be sent to another process: a file, a member
of a tar file, an object behind a URL. What is read is hostile until a decoder in a process of its own has looked at it.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

_AMBIGUOUS = re.compile(r"%(?=[89A-F][0-9A-F]|25)")
_ESCAPED = re.compile(rb"%([89A-F][0-9A-F]|25)")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Place(Protocol):
    """Where a file's content is; picklable.

    One that has `pieces() -> Iterator[bytes]` too gives the same in parts, so that `digest` need not have it in memory.
    """

    def read(self) -> bytes:
        """The whole content; raises `PictureError` where it cannot be read, or is empty or too large."""
        ...


@dataclass(frozen=True)
class LocalFile:
    """A file of this machine; `path` is absolute, its links are not resolved."""

    path: Path

    def read(self) -> bytes:
        """See `Place.read`."""
        from lexlip_es.images import read_picture_file

        return read_picture_file(self.path)

    def pieces(self) -> Iterator[bytes]:
        """The content in parts of 1 MiB; raises as `read`."""
        from lexlip_es.images import picture_file_pieces

        return picture_file_pieces(self.path)


def digest(place: Place) -> str:
    """SHA-256 of what is at a place, in hexadecimal, which is its `content_hash`; raises nothing but `PictureError`."""
    from lexlip_es.images import PictureError

    found = hashlib.sha256()
    try:
        for piece in place.pieces() if hasattr(place, "pieces") else (place.read(),):
            found.update(piece)
    except PictureError:
        raise
    except MemoryError as error:
        raise PictureError("There is not enough memory to read the file.") from error
    except Exception as error:  # a place may be anything that can be read
        raise PictureError(f"The file cannot be read ({type(error).__name__}: {error}).") from error
    return found.hexdigest()


@dataclass(frozen=True)
class Found:
    """A regular file that should be a picture; whether it is one, its decoder will tell."""

    place: Place
    relative: bytes
    """The path below the root, its parts joined by `/`, as the file system spells it."""
    size: int
    """In bytes."""
    modified: str
    """ISO 8601 in UTC, to the millisecond: `2026-01-31T12:00:00.000Z`."""

    @property
    def display_path(self) -> str:
        """The relative path as text, for documents and people: see `path_text`."""
        return path_text(self.relative)


@dataclass(frozen=True)
class Skipped:
    """A file or folder that could not be looked at, and why."""

    display_path: str
    """The path below the root as text, see `path_text`."""
    reason: str
    """A full sentence, without the path."""
    hides: bool = False
    """Whether pictures may lie behind it, as behind a folder that may not be read: nothing below is known to be gone."""


def path_text(raw: bytes) -> str:
    """Spell a path as text that goes into JSON and comes back the same (`path_bytes`), whatever its bytes are.

    A path in UTF-8 is itself. A byte that is not becomes `%` and two capital hexadecimal digits, always 80 or above; a
    `%` that would read as such a byte, or as `%25`, becomes `%25`: `100%.jpg` stays, `b"caf\\xe9.jpg"` is `caf%E9.jpg`.
    """
    if raw.isascii() and b"%" not in raw:  # nearly every path: a run looks at each twice
        return raw.decode("ascii")
    text = raw.decode("utf-8", "surrogateescape")
    text = _AMBIGUOUS.sub("%25", text)
    return "".join(f"%{ord(letter) - 0xDC00:02X}" if "\udc80" <= letter <= "\udcff" else letter for letter in text)


def path_bytes(text: str) -> bytes:
    """Give back the path that `path_text` spelled."""
    if "%" not in text:
        return text.encode("utf-8")
    return _ESCAPED.sub(lambda found: bytes.fromhex(found[1].decode("ascii")), text.encode("utf-8"))


def moment(nanoseconds: int) -> str:
    """A time of modification as documents have it: ISO 8601 in UTC, to the millisecond."""
    try:
        moment = _EPOCH + timedelta(milliseconds=nanoseconds // 1_000_000)
    except OverflowError:  # a damaged file system's year 300,000
        moment = _EPOCH
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
