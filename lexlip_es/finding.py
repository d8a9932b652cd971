"""Finding pictures in a folder: what is there, in an order that never changes, or why something could not be looked at.

The walk reads names, sizes and times, never content. Files are pictures by their extension; hidden ones (a leading
dot), videos, other files and what is excluded are passed over in silence. Pictures of a kind that is not read are named with the
remedy: half of a telephone's may be HEIC. Links are followed, with three rules that keep documents where they are: a link to a
folder that holds the link (a loop) is passed over; so is a link to a folder that the walk reaches by its own path
anyway; and a folder elsewhere that several links lead to is walked once, by the first. A link to a file is a picture of
its own, as a copy would be. A broken link is reported, since it may be a drive that is not mounted.
"""

import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lexlip_es.captions import picture_name
from lexlip_es.entries import Found, LocalFile, Skipped, moment, path_text
from lexlip_es.errors import LexlipError, UsageError
from lexlip_es.formats import EXTENSIONS, ending_of, unread_endings

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec


def folder_identity(folder: Path) -> tuple[int, int] | None:
    """Which folder it is; None where it is not there, or is empty, as a mount point is without its disk."""
    try:
        with os.scandir(folder) as entries:
            if next(entries, None) is None:
                return None
        return _identity(folder)
    except OSError:
        return None


def find_pictures(root: Path, *, files: Sequence[str] | None = None, exclude: Sequence[str] = ()) -> Iterator[Found | Skipped]:
    """Walk `root`, sorted by relative path, or look only at `files`, names relative to it (whatever their extension).

    exclude: patterns as in a `.gitignore` file at the root (see `Exclusion`) of what is passed over in silence.
    A file of a kind that is not read here (`formats.not_read`) is a `Skipped`; a listed one is left to its decoder.

    Raises `LexlipError` at once for a root that is missing, unreadable or not a folder, and at the end of a walk that
    met nothing at all. Whatever else cannot be looked at is a `Skipped`, and the walk goes on.
    """
    root = open_root(root)
    excluded = Exclusion(exclude)
    if files is not None:
        return _listed(root, files, excluded)
    kinds = " ".join(sorted(EXTENSIONS))
    but = f", without {' '.join(excluded.patterns)}" if excluded else ""
    nothing = f"The folder {_show(root)} holds no pictures (looked for {kinds}, in all visible folders{but})."
    return or_nothing(_walk(root, _entries(root, b"", excluded), excluded), nothing)


def find_again(root: Path, paths: Iterable[bytes], *, exclude: Sequence[str] = ()) -> Iterator[Found | Skipped]:
    """What a walk of `root`, an absolute path, would meet at these paths and below them, each once; often nothing.

    Only these are looked at, whatever the size of the folder. A walk enters a folder elsewhere by the first link to it, which is
    not known here: such links, and what lies behind them, are for a whole walk (`linked`). A root that is not there is empty.
    """
    excluded = Exclusion(exclude)
    tops: dict[bytes, _Entry] = {}
    trouble: dict[str, Skipped] = {}  # by the folder that could not be looked into
    for path in sorted(set(paths), key=lambda path: path + b"/"):
        ancestors = [path[:end] for end, sign in enumerate(path) if sign == ord("/")]
        if any(ancestor in tops for ancestor in ancestors):  # it is walked with that
            continue
        entry = _reached(root, [*ancestors, path], excluded)
        if isinstance(entry, Skipped):
            trouble[entry.display_path] = entry
        elif entry is not None:
            tops[path] = entry
    yield from trouble.values()
    with suppress(OSError):  # of the root: all other trouble is a `Skipped`
        yield from _walk(root, list(tops.values()), excluded)


def linked(root: Path, relative: bytes) -> bool:
    """Whether a path below the root is a link to a folder, or lies behind one."""
    parts = os.fsdecode(relative).split("/")
    steps = ("/".join(parts[:end]) for end in range(1, len(parts) + 1))
    return any((root / step).is_symlink() and (root / step).is_dir() for step in steps)


def _reached(root: Path, steps: Sequence[bytes], excluded: "Exclusion") -> "_Entry | Skipped | None":
    """The last of these paths, if a walk comes there by way of the others; or the one that it cannot look into."""
    entry = None
    for step in steps:
        path = os.path.join(root, os.fsdecode(step))
        try:
            mode = os.lstat(path).st_mode
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return None
        except OSError as error:  # a drive's error says nothing about what is there
            return Skipped(path_text(step), _trouble(error, "file"), hides=True)
        entry = _entry(path, step, stat.S_ISLNK(mode), stat.S_ISDIR(mode), excluded)
        if entry is None or (step != steps[-1] and not entry.folder):
            return None
    return entry


def open_root(root: Path) -> Path:
    """The folder's absolute path; raises `LexlipError` for one that is missing, unreadable or not a folder."""
    root = Path(os.path.abspath(root))  # not resolve(): links are part of the path
    try:
        if not stat.S_ISDIR(root.stat().st_mode):
            raise LexlipError(f"{_show(root)} is a file, not a folder; give the folder that holds the pictures.")
        with os.scandir(root):
            pass
    except FileNotFoundError as error:
        raise LexlipError(f"The folder {_show(root)} does not exist: check the path, and that its disk is mounted.") from error
    except (OSError, ValueError) as error:
        raise LexlipError(f"The folder {_show(root)} cannot be read ({cause(error)}).") from error
    return root


class Exclusion:
    """What is left out of a source, by patterns as in a `.gitignore` file at its root.

    `cache/` is any folder of that name, `/cache/` the one at the root, `*.tmp.jpg` any file that ends so, `**/thumbs/*` what
    lies in a folder of that name; `!keep.jpg` takes back what an earlier pattern excluded, but a folder that is excluded is not
    entered.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        """Raise `UsageError` for a pattern that means nothing."""
        self.patterns = tuple(patterns)
        self._spec: GitIgnoreSpec | None = None
        if not self.patterns:
            return
        import pathspec

        try:
            self._spec = pathspec.GitIgnoreSpec.from_lines(self.patterns)
        except (ValueError, re.error) as error:
            raise UsageError(f"{' '.join(self.patterns)} is no pattern to exclude, as in .gitignore files: {error}.") from error

    def __bool__(self) -> bool:
        return self._spec is not None

    def __contains__(self, relative: bytes) -> bool:
        """Whether a path below the root is excluded; a folder's ends with `/`."""
        return self._spec is not None and self._spec.match_file(relative.decode("utf-8", "surrogateescape"))


# -- a list


def _listed(root: Path, files: Sequence[str], excluded: Exclusion) -> Iterator[Found | Skipped]:
    names = sorted({os.fsencode(picture_name(name.replace(os.sep, "/"))) for name in files if name.strip()})
    if not names:
        raise LexlipError(f"The list of pictures to take from {_show(root)} is empty.")
    yield from (look_up(root, relative) for relative in names if relative not in excluded)


def look_up(root: Path, relative: bytes) -> Found | Skipped:
    """Look at a file by its name below the root, whatever its extension."""
    if relative.startswith((b"/", b"../")) or relative == b".." or Path(os.fsdecode(relative)).is_absolute():
        return Skipped(path_text(relative), "The name leads out of the folder.")
    return _look(str(root / os.fsdecode(relative)), relative)


# -- a walk


def or_nothing(walk: Iterable[Found | Skipped], nothing: str) -> Iterator[Found | Skipped]:
    """What a walk meets; raises `LexlipError` with the sentence `nothing` after one that met nothing at all."""
    empty = True
    for met in walk:
        empty = False
        yield met
    if empty:
        raise LexlipError(nothing)


def _walk(root: Path, first: "list[_Entry] | Skipped", excluded: Exclusion) -> Iterator[Found | Skipped]:
    """Everything below the first entries, which lie below the root."""
    real_root = os.path.realpath(root)
    seen = {_identity(root)}
    unread = unread_endings()
    # A stack, not recursion: folders may nest deeper than Python does. Each level holds what is left of it, in order.
    levels = [iter(first)] if isinstance(first, list) else []
    if isinstance(first, Skipped):
        yield first
    while levels:
        entry = next(levels[-1], None)
        if entry is None:
            levels.pop()
        elif not entry.folder:
            yield _look(entry.path, entry.relative, unread.get(ending_of(entry.path)))
        elif not (entry.link and _is_elsewhere_too(entry.path, real_root)):
            try:
                identity = _identity(entry.path)
            except OSError as error:
                yield Skipped(path_text(entry.relative), _trouble(error, "folder"), hides=True)
                continue
            if identity in seen:
                continue
            seen.add(identity)
            below = _entries(entry.path, entry.relative, excluded)
            if isinstance(below, list):
                levels.append(iter(below))
            else:
                yield below


@dataclass(frozen=True)
class _Entry:
    path: str  # a `Path` of each would be half the time of a walk
    relative: bytes
    folder: bool
    link: bool


def _entries(folder: Path | str, relative: bytes, excluded: Exclusion) -> list[_Entry] | Skipped:
    """List folders, pictures (read or not) and broken links of one folder, in an order whose walk gives sorted relative paths."""
    found = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                name = os.fsencode(entry.name)
                below = relative + b"/" + name if relative else name
                is_folder = entry.is_dir(follow_symlinks=False)
                met = _entry(entry.path, below, entry.is_symlink(), is_folder, excluded)
                if met is not None:
                    found.append(met)
    except OSError as error:
        return Skipped(path_text(relative), _trouble(error, "folder"), hides=True)
    return sorted(found, key=lambda entry: entry.relative + b"/" * entry.folder)


def _entry(path: str, relative: bytes, link: bool, folder: bool, excluded: Exclusion) -> _Entry | None:
    """What a walk makes of something in a folder, a link itself or a folder itself; None if it is passed over in silence."""
    if os.path.basename(path).startswith("."):
        return None
    target = _mode(path) if link else None
    folder = stat.S_ISDIR(target or 0) if link else folder
    broken = link and target is None
    if not (folder or broken or ending_of(path) in EXTENSIONS):
        return None
    if excluded and relative + b"/" * folder in excluded:
        return None
    return _Entry(path, relative, folder, link)


def _is_elsewhere_too(link: str, real_root: str) -> bool:
    """Tell whether a linked folder holds the link itself (a loop), or is reached by its own path below the root."""
    target = os.path.realpath(link)
    here = os.path.realpath(os.path.dirname(link))
    if _holds(target, here) or _holds(target, real_root):
        return True
    if not _holds(real_root, target):
        return False
    return not any(part.startswith(".") for part in Path(os.path.relpath(target, real_root)).parts)


def _holds(folder: str, path: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def _mode(link: str) -> int | None:
    """What a link leads to; None when it leads to nothing, in circles or past a closed door."""
    try:
        return os.stat(link).st_mode
    except OSError:
        return None


def _identity(folder: Path | str) -> tuple[int, int]:
    status = os.stat(folder)
    return status.st_dev, status.st_ino


def _look(path: str, relative: bytes, unread: str | None = None) -> Found | Skipped:
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:
        gone = isinstance(error, FileNotFoundError) and not os.path.islink(path)
        broken = isinstance(error, FileNotFoundError) and not gone
        reason = "The link leads to nothing." if broken else _trouble(error, "file")
        return Skipped(path_text(relative), reason, hides=not gone)
    if stat.S_ISDIR(status.st_mode):
        return Skipped(path_text(relative), "It is a folder, not a picture file.")
    if not stat.S_ISREG(status.st_mode):
        return Skipped(path_text(relative), "It is a pipe, a socket or a device, not a regular file.")
    if unread is not None:
        return Skipped(path_text(relative), unread, hides=True)  # it may have been read before
    return Found(LocalFile(Path(path)), relative, status.st_size, moment(status.st_mtime_ns))


# -- sentences


def _trouble(error: Exception, what: str) -> str:
    if isinstance(error, FileNotFoundError):
        return f"The {what} does not exist (any more)."
    if isinstance(error, PermissionError):
        return f"The {what} may not be read by this user."
    return f"The {what} cannot be looked at ({cause(error)})."


def cause(error: Exception) -> str:
    """What an error says, without a path."""
    return getattr(error, "strerror", None) or str(error)


def _show(path: Path) -> str:
    return path_text(os.fsencode(path))
