"""Members of an uncompressed tar file, read where they lie: one pass over the headers, nothing is ever extracted.

A tar file is hostile: headers may be damaged, lie about sizes, point backwards or nest without end. What is whole is found all
the same, also beyond damage, and that there was damage is told last.
"""

import errno
import json
import os
import stat
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

from lexlip_es.images import MAX_FILE_BYTES, PictureError

MAX_CAPTION_BYTES = 4 << 20
"""The largest caption member that is read, in bytes: img2dataset's JSON holds all EXIF of a picture too."""
_MAX_HEADER_BYTES = 1 << 20  # of a header that goes on in blocks of its own: long names, pax records
_DAMAGED = "The tar file is damaged, cut short, or none: what is whole in it was found."
_NO_FILE = "It is a folder, a pipe, a socket or a device, not a tar file."
_COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\0": "xz", b"\x28\xb5\x2f\xfd": "zstd"}


class _NoTarError(Exception):
    """What has the name of a tar file is no regular file."""


class Member(NamedTuple):
    """What a header says. Only a file that is not sparse has its content in one piece at `offset`."""

    name: str
    """Without a leading `./`; bytes that are not UTF-8 are surrogates, as in Python's own paths."""
    kind: str
    """`file`, `folder`, `link`, `sparse`, or `other`: a device or a pipe."""
    offset: int
    size: int
    whole: bool
    """Whether the tar file is long enough for it."""
    modified: int
    """In nanoseconds since 1970; 0 where the header says nothing sensible."""


class Damage(NamedTuple):
    """A tar file that lacks something, or has something that is no member; `reason` is a sentence."""

    reason: str


def tar_members(path: Path) -> Iterator[Member | Damage]:
    """All members, in their order, and a `Damage` as the last where the tar file is not as it should be. Never raises."""
    try:
        with os.fdopen(_open(path), "rb") as file:
            yield from _members(file)
    except _NoTarError:
        yield Damage(_NO_FILE)
    except (OSError, tarfile.TarError, ValueError, OverflowError, RecursionError) as error:  # a damaged header may say anything
        unread = isinstance(error, OSError) and error.errno not in (None, errno.EINVAL)  # a seek to where no file can reach
        yield Damage(f"The tar file cannot be read ({error.strerror})." if unread else _DAMAGED)  # type: ignore[union-attr]


def _open(path: Path) -> int:
    """A descriptor of a regular file; a pipe, for which opening would wait for ever, raises `_NoTarError`."""
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
    descriptor = os.open(path, flags)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise _NoTarError


def _members(file: BinaryIO) -> Iterator[Member | Damage]:
    total = os.fstat(file.fileno()).st_size
    start = file.read(6)
    file.seek(0)
    if packed := next((kind for magic, kind in _COMPRESSED.items() if start.startswith(magic)), None):
        yield Damage(f"The tar file is compressed ({packed}): unpack it, since its members are read where they lie.")
        return
    damaged = False
    # ignore_zeros: tarfile then looks for the next whole header behind a damaged one, where it would else end in silence.
    careful = _Careful(file)
    with tarfile.open(fileobj=careful, mode="r:", ignore_zeros=True, encoding="utf-8", errors="surrogateescape") as tar:  # type: ignore[call-overload]
        end = 0  # of what was understood so far
        while (member := tar.next()) is not None:
            tar.members.clear()  # tarfile would keep an object a member
            if tar.offset <= end:
                raise tarfile.ReadError("a header points backwards")  # the walk would never end
            damaged |= not _is_clean(file, end, member.offset)
            end = tar.offset
            yield _member(member, total)
        damaged |= end == 0 or end + tarfile.BLOCKSIZE > total or not _is_clean(file, end, total)
    if damaged:
        yield Damage(_DAMAGED)


class _Careful:
    """A file from which tarfile reads headers, but none that claims to be endless."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int) -> bytes:
        if size > _MAX_HEADER_BYTES:
            raise tarfile.ReadError("a header is too long")
        return self._file.read(size)


def _member(member: tarfile.TarInfo, total: int) -> Member:
    kind = "other"
    if member.issparse():
        kind = "sparse"
    elif member.isreg():
        kind = "file"
    elif member.isdir():
        kind = "folder"
    elif member.issym() or member.islnk():
        kind = "link"
    whole = member.offset_data + member.size <= total
    try:
        modified = max(0, int(member.mtime * 1_000_000_000))
    except (ValueError, OverflowError):  # pax may say nan or inf
        modified = 0
    return Member(member.name.removeprefix("./"), kind, member.offset_data, member.size, whole, modified)


def _is_clean(file: BinaryIO, start: int, end: int) -> bool:
    """Tell whether there is nothing between two members but a global header or the zeros that end an archive."""
    file.seek(start)
    while start < end and (block := file.read(min(1 << 16, end - start))):
        if any(block):
            return block[156:157] == tarfile.XGLTYPE
        start += len(block)
    return True


def read_member(path: Path, offset: int, size: int) -> bytes:
    """The content of a member; safe from any thread and any process. Raises `PictureError`."""
    try:
        # Opened anew each time: a descriptor a shard would be more than a process may hold.
        descriptor = _open(path)
        try:
            data = os.pread(descriptor, size, offset)
        finally:
            os.close(descriptor)
    except _NoTarError as error:
        raise PictureError(_NO_FILE, path) from error
    except MemoryError as error:
        raise PictureError("There is not enough memory to read the file.", path) from error
    except OSError as error:
        raise PictureError(f"The shard cannot be read ({error.strerror or error}).", path) from error
    if len(data) != size:
        raise PictureError("The shard has become shorter since it was indexed.", path)
    return data


@dataclass(frozen=True)
class TarMember:
    """A picture in a tar file, as a `Place`."""

    path: Path
    offset: int
    size: int

    def read(self) -> bytes:
        """See `Place.read`."""
        if not self.size:
            raise PictureError("The file is empty.")
        if self.size > MAX_FILE_BYTES:
            raise PictureError(f"The file is larger than {MAX_FILE_BYTES >> 30} GiB.")
        return read_member(self.path, self.offset, self.size)


def sidecar_values(data: bytes, suffix: str) -> dict[str, object]:
    """What a `.txt` or `.json` member says of a picture, by names in small letters; raises `ValueError` for what is neither."""
    text = data.decode("utf-8-sig")
    if suffix != ".json":
        return {"caption": text}
    try:
        item = json.loads(text)
    except RecursionError as error:
        raise ValueError("far too deep nesting") from error
    if not isinstance(item, dict):
        raise ValueError("no JSON object")
    return {str(name).lower(): value for name, value in item.items()}
