"""Pictures behind a URL, by fsspec: `s3://bucket/folder`, `sftp://`, `https://` listings, `memory://`, `file://` and others.

Credentials and endpoints come from where each file system looks for them (AWS's environment and files; `FSSPEC_S3_ENDPOINT_URL`,
`FSSPEC_SFTP_PASSWORD` and the like). A password or a signature within the URL works, and is in nothing that is shown or stored.
The walk lists a folder at a time and reads no content; an `https://` listing has no times, so that a change
shows in the size alone. fsspec, the extra `remote`, is imported only here; s3fs is the extra `s3`.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote_to_bytes

from lexlip_es.entries import Found, Skipped, moment, path_text
from lexlip_es.errors import LexlipError, UsageError
from lexlip_es.extras import require_extra
from lexlip_es.finding import Exclusion, cause, or_nothing
from lexlip_es.formats import EXTENSIONS, ending_of, unread_endings
from lexlip_es.images import MAX_FILE_BYTES, PictureError
from lexlip_es.sources import Extras

Info = Mapping[str, Any]
"""What fsspec says of a file or folder: name, size, type, and whatever else its file system has to say."""
_MODIFIED = ("LastModified", "last_modified", "updated", "mtime", "modified", "modify", "created")
MAX_DEPTH = 100
"""How many folders deep a walk goes: a server may make up folders without end."""
_PIECE_BYTES = 1 << 20
_CHAINED = re.compile(r"::(?=(?:\w[\w+.-]*::)*\w[\w+.-]*://)")  # not the :: of an IPv6 address
_USER = re.compile(r"(?<![\w+.-])(\w[\w+.-]*)://([^/\s]*)@")
_NO_USERS = ("http", "https", "s3", "s3a")  # what stands before an @ is a login or a token, and never part of the place
_NO_PASSWORDS = ("github", "git")  # organisation:repository@branch
_KEYS_WITH_QUERIES = ("s3", "s3a")
_QUERY = re.compile(r"\?[^\s'\")>]+")


@dataclass(frozen=True)
class RemoteFile:
    """An object behind a URL, as a `Place`."""

    system: Any = field(repr=False)
    """The fsspec file system, which may hold credentials."""
    path: str = field(repr=False)
    """As the file system wants it, which for some is the whole URL."""
    size: int | None
    """As listed, in bytes; None where the listing did not say."""

    def read(self) -> bytes:
        """See `Place.read`."""
        try:
            return b"".join(self.pieces())
        except MemoryError as error:
            raise PictureError("There is not enough memory to read the file.") from error

    def pieces(self) -> Iterator[bytes]:
        """The content in parts of 1 MiB, and never more than a picture may have, whatever the server sends; see `Place`."""
        length = self.size or 0
        if length <= MAX_FILE_BYTES and self.size != 0:
            length = 0
            for piece in self._sent():
                length += len(piece)
                if length > MAX_FILE_BYTES:
                    break
                yield piece
        if not length:
            raise PictureError("The file is empty.")
        if length > MAX_FILE_BYTES:
            raise PictureError(f"The file is larger than {MAX_FILE_BYTES >> 30} GiB.")

    def _sent(self) -> Iterator[bytes]:
        # A stream of one request over HTTP, where a server may not know of ranges; the size spares asking for it.
        options = {"block_size": 0, "size": self.size} if "http" in _protocols(self.system) else {}
        try:
            with self.system.open(self.path, "rb", **options) as file:
                while piece := file.read(_PIECE_BYTES):
                    yield bytes(piece)
        except MemoryError as error:
            raise PictureError("There is not enough memory to read the file.") from error
        except FileNotFoundError as error:
            raise PictureError("The file does not exist (any more).") from error
        except PermissionError as error:
            raise PictureError("The file may not be read by this user.") from error
        except Exception as error:  # each file system has errors of its own
            raise PictureError(f"The file cannot be read ({_cause(error)}).") from error


class RemoteFolder:
    """See `PictureSource`."""

    complete = True
    has_extras = False
    meta_schema: Mapping[str, str] = {}

    def __init__(self, url: str, *, exclude: Sequence[str] = ()) -> None:
        """List the folder; raises `UsageError` for what is no URL, `LexlipError` for what cannot be listed or needs a package."""
        self._excluded = Exclusion(exclude)
        shown = without_secrets(url)
        self._system, self._folder = _open(url, shown)
        self._is_page = "http" in _protocols(self._system)
        if "file" in _protocols(self._system):
            shown = f"file://{self._folder}"
        self.root = path_text(os.fsencode(shown.rstrip("/") if not shown.endswith("://") else shown))
        self._prefix = f"{self._folder.rstrip('/')}/" if self._folder.strip("/") else ""
        listed = self._list(self._folder)
        if isinstance(listed, Skipped):
            raise LexlipError(f"{self.root} cannot be listed: {listed.reason}")

    def entries(self) -> Iterator[Found | Skipped]:
        """See `PictureSource.entries`."""
        nothing = f"{self.root} holds no pictures (looked for {' '.join(sorted(EXTENSIONS))})."
        yield from or_nothing(self._walk(unread_endings()), nothing)

    def extras(self, found: Found) -> Extras:
        """See `PictureSource.extras`."""
        return Extras()

    def is_there(self) -> bool:
        """See `PictureSource.is_there`: what cannot be listed has raised or hides what it has."""
        return True

    def has_lost(self, relative: bytes) -> bool:
        """See `PictureSource.has_lost`."""
        return False

    def notes(self) -> list[str]:
        """See `PictureSource.notes`."""
        return []

    def _walk(self, unread: Mapping[str, str]) -> Iterator[Found | Skipped]:
        levels = [iter([(b"", {"name": self._folder, "type": "directory"})])]
        while levels:
            relative, info = next(levels[-1], (None, {}))
            if relative is None:
                levels.pop()
            elif info["type"] == "directory" and len(levels) > MAX_DEPTH:
                yield Skipped(
                    path_text(relative), f"The folder lies more than {MAX_DEPTH} folders deep: not entered.", hides=True
                )
            elif info["type"] == "directory":
                below = self._list(info["name"], relative)
                if isinstance(below, Skipped):
                    yield below
                else:
                    levels.append(iter(below))
            else:
                reason = unread.get(ending_of(os.fsdecode(relative)))
                yield Skipped(path_text(relative), reason, hides=True) if reason else self._look(relative, info)

    def _list(self, folder: str, at: bytes = b"") -> list[tuple[bytes, dict[str, Any]]] | Skipped:
        """Folders and pictures of a folder with their relative paths, in an order whose walk gives sorted ones."""
        try:
            listed = self._system.ls(folder, detail=True)
        except FileNotFoundError:
            return Skipped(path_text(at), "The folder does not exist (any more).", hides=True)
        except PermissionError:
            return Skipped(path_text(at), "The folder may not be read by this user.", hides=True)
        except Exception as error:  # each file system has errors of its own; a walk with holes is no walk
            where = f"{self.root}/{path_text(at)}".rstrip("/")
            raise LexlipError(f"{where} cannot be listed ({_cause(error)}): check the address and the credentials.") from error
        found = []
        for info in listed:
            name = str(info["name"])
            if name.rstrip("/") == folder.rstrip("/"):
                if not at and info["type"] == "file" and not name.endswith("/") and info.get("size"):
                    raise LexlipError(f"{self.root} is a file, not a folder; give the folder that holds the pictures.")
                if info["type"] == "directory" and name.endswith("/"):
                    found.append((at + b"//", {"name": name, "type": "nameless"}))
                continue  # an object that stands for its folder
            if not name.startswith(self._prefix):
                continue  # a page's link to elsewhere
            below = name[len(self._prefix) :].strip("/").encode("utf-8", "surrogateescape")
            below = unquote_to_bytes(below) if self._is_page else below
            is_folder = info["type"] == "directory"
            if not below or below.rpartition(b"/")[2].startswith(b".") or below + b"/" * is_folder in self._excluded:
                continue
            if is_folder or ending_of(os.fsdecode(below)) in EXTENSIONS:
                kept = {key: info[key] for key in ("name", "type", "size", "islink", *_MODIFIED) if key in info}
                found.append((below, kept))
        return sorted(found, key=lambda entry: entry[0] + b"/" * (entry[1]["type"] == "directory"))

    def _look(self, relative: bytes, info: Info) -> Found | Skipped:
        path, shown = str(info["name"]), path_text(relative)
        if info["type"] == "nameless":
            return Skipped(shown, "A folder below has an empty name (//), so that what is in it cannot be listed.", hides=True)
        try:
            if info.get("islink") or info.get("size") is None:  # the listing tells of the link, or nothing
                info = self._system.info(path)
        except Exception as error:  # each file system has errors of its own
            return Skipped(shown, f"The file cannot be looked at ({_cause(error)}).", hides=True)
        if info["type"] == "directory":
            return Skipped(shown, "It is a link to a folder, which is not followed behind a URL.", hides=True)
        if info["type"] != "file":
            return Skipped(shown, "It is a pipe, a socket or a device, not a regular file.")
        size = info.get("size")
        return Found(RemoteFile(self._system, path, size), relative, size or 0, moment(_modified(info)))


# -- URLs and file systems


def without_secrets(url: str) -> str:
    """The URL without password and signature: what may be shown and stored, and is another for every other place.

    >>> without_secrets("sftp://me:secret@host/photos")
    'sftp://me@host/photos'

    Raises `UsageError` where a password cannot be told from a path.
    """
    parts = []
    for part in _CHAINED.split(url):
        shown = _USER.sub(_without_password, part)
        protocol, _, place = shown.partition("://")
        before, _, path = place.partition("/")
        host = before.rpartition("@")[2]
        if (re.search(r":(?!\d*$)", host) and "@" in path and not host.startswith("[")) or re.search(r":.*\s.*@", before):
            raise UsageError(
                "the URL's password has a / or a space in it: write it as %2F or %20, or leave both to the environment."
            )
        if protocol.rpartition("::")[2].lower() not in _KEYS_WITH_QUERIES:  # what follows a ? may be part of a key there
            shown = shown.partition("?")[0]
        parts.append(shown)
    return "::".join(parts)


def _without_password(found: re.Match[str]) -> str:
    protocol, user = found[1].lower(), found[2]
    if protocol in _NO_PASSWORDS:
        return found[0]
    return f"{found[1]}://" if protocol in _NO_USERS else f"{found[1]}://{user.partition(':')[0]}@"


def _open(url: str, shown: str) -> tuple[Any, str]:
    """The file system and the path in it, as fsspec has them; listings are not kept, since they would fill the memory."""
    require_extra("remote", "fsspec")
    import fsspec

    protocol = url.partition("://")[0].rpartition("::")[2]
    try:
        system, path = fsspec.core.url_to_fs(url, use_listings_cache=False)
    except ImportError as error:
        extra = "pip install 'lexlip-es[s3]'" if protocol in ("s3", "s3a") else f"{_cause(error)} (pip)"
        raise LexlipError(f"{protocol}:// needs another package: {extra}.") from error
    except Exception as error:  # each file system has errors of its own
        raise UsageError(f"{shown} cannot be opened ({_cause(error)}).") from error
    return system, path


def _protocols(system: Any) -> tuple[str, ...]:
    return (system.protocol,) if isinstance(system.protocol, str) else tuple(system.protocol)


def _modified(info: Info) -> int:
    """In nanoseconds since 1970, by whatever name and in whatever form the file system says it; 0 where it does not."""
    value = next((info[name] for name in _MODIFIED if info.get(name) is not None), 0)
    try:
        if isinstance(value, str) and value.isdecimal():  # FTP's 20260131120000
            value = datetime.strptime(value[:14], "%Y%m%d%H%M%S")
        elif isinstance(value, str):
            value = datetime.fromisoformat(value)
        if isinstance(value, datetime):
            value = (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
        return int(value * 1_000_000_000)
    except (ValueError, TypeError, OverflowError):
        return 0


def _cause(error: Exception) -> str:
    """What an error says, in one line and without secrets."""
    said = " ".join((cause(error) or type(error).__name__).split())
    return _QUERY.sub("", _USER.sub(_without_password, said))[:200].rstrip(".")
