"""Keeping an index up to date with folders while they change: what changed is looked at, and now and then everything is.

    the system says which paths changed -> wait until they are quiet -> look at these alone -> `index_paths`
    at the start, every `rescan` seconds, and when the system may have missed something -> `index_source`, a full comparison

Nothing is kept but what waits to be looked at: a watch that was killed is simply started again, and compares everything first.
What looks the same is grouped when it has been quiet for a minute, and with each full comparison, since that reads all documents.
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from lexlip_es.duplicates import group_duplicates
from lexlip_es.engines.protocol import Engine
from lexlip_es.entries import path_bytes
from lexlip_es.errors import LexlipError, ModelMismatchError, UsageError
from lexlip_es.extras import require_extra
from lexlip_es.finding import linked
from lexlip_es.formats import EXTENSIONS
from lexlip_es.indexing import index_paths
from lexlip_es.loading import Run, Source
from lexlip_es.report import Report
from lexlip_es.sources.folder import PictureFolder
from lexlip_es.target import find_target

RESCAN_SECONDS = 3600.0
"""How often everything is compared: network drives tell nobody what changed on another machine."""
SETTLE_SECONDS = 1.0  # without news of a file, before it is looked at: it may still be written
LONGEST_SECONDS = 10.0  # after which it is looked at all the same: a camera may write one file for ever
QUIET_SECONDS = 60.0  # without anything to do, before what looks the same is grouped
TRIES = 5  # looks at a file that is left out, at growing pauses of 2 to 16 seconds: a copy may stall
MANY = 5_000  # changes at a time beyond which a full comparison is the shorter way, and the system may have lost some
_LOOK_MS = 500  # between looks at whether the roots are there
_LONGEST_PAUSE = 60.0  # before trouble with the engine is tried again


@dataclass(frozen=True)
class Batch:
    """What one look at a root has done; `whole` if it was a full comparison."""

    root: str
    whole: bool
    report: Report

    @property
    def is_news(self) -> bool:
        """Whether there is anything to tell."""
        report = self.report
        counted = report.added + report.changed + report.moved + report.removed + len(report.skipped) + len(report.failed)
        return bool(counted or report.notes)

    def to_json(self) -> dict[str, Any]:
        """The batch as JSON."""
        return {"root": self.root, "whole": self.whole, **self.report.to_json()}


def watch_folders(
    engine: Engine,
    runs: Sequence[Run],
    sources: Sequence[Source],
    index: str,
    *,
    compare: Callable[[Run, Source], Report],
    keep_missing: bool = False,
    even_if_many: bool = False,
    rescan: float = RESCAN_SECONDS,
    tell: Callable[[Batch], None] = lambda batch: None,
    say: Callable[[str], None] = lambda sentence: None,
) -> bool:
    """Keep the documents of folders up to date until the runs' `stop` is set; returns whether that interrupted some work.

    compare: makes a full comparison, as `index_source` does; rescan: seconds between two of them, 0 for none but the first.
    tell: takes each batch of work; say: takes sentences about trouble that is waited for.

    What the first comparison raises is raised. Later a folder that is gone is waited for, and so is an engine: raised is what no
    waiting mends, `UsageError` and `ModelMismatchError`. Also raises `UsageError` for sources that are no folders, and
    `LexlipError` where watchfiles is missing or the system cannot watch so many folders.
    """
    require_extra("watch", "watchfiles")
    roots = [_Root(run, source) for run, source in zip(runs, sources, strict=True) if _is_folder(source)]
    watch = _Watch(engine, roots, index, compare, keep_missing, even_if_many, rescan or float("inf"), tell, say)
    return watch.run()


def _is_folder(source: Source) -> bool:
    if not isinstance(source, PictureFolder) or not source.complete:
        raise UsageError("--watch is for whole folders of pictures: index tables, lists, shards, URLs and texts without it.")
    return True


@dataclass
class _Waiting:
    """A path that is to be looked at, not before `ready`; `since` its first change, `tries` how often it was left out."""

    ready: float
    since: float
    tries: int = 0


@dataclass
class _Root:
    """A folder, what is to be looked at in it, and when it is to be compared whole: times are of `time.monotonic`."""

    run_of_all: Run
    source: Any  # a PictureFolder
    waiting: dict[bytes, _Waiting] = field(default_factory=dict)
    identity: tuple[int, int] | None = None
    due: float = 0.0
    not_before: float = 0.0  # the next full comparison, unless the clock demands it
    removed: int = 0  # since the last full comparison
    trouble: str = ""
    pause: float = 0.0
    resume: float = 0.0

    @property
    def run(self) -> Run:
        """A run with a report of its own."""
        return replace(self.run_of_all, report=Report())

    def looked_at(self) -> tuple[int, int] | None:
        """Which folder is there now; None where none is, or an empty one, such as a place where no disk is mounted."""
        try:
            status = self.source.path.stat()
            with os.scandir(self.source.path) as entries:
                return None if next(entries, None) is None else (status.st_dev, status.st_ino)
        except OSError:
            return None

    def is_there(self) -> bool:
        """Whether the folder is the one that is watched."""
        return self.identity is not None and self.looked_at() == self.identity

    def compare_soon(self, now: float) -> None:
        """Let a full comparison come, but not all the time."""
        self.due = min(self.due, max(now + SETTLE_SECONDS, self.not_before))

    def note(self, relative: bytes, now: float) -> None:
        """A path has changed."""
        since = self.waiting[relative].since if relative in self.waiting else now
        self.waiting[relative] = _Waiting(min(now + SETTLE_SECONDS, max(since + LONGEST_SECONDS, now)), since)


@dataclass
class _Watch:
    engine: Engine
    roots: list[_Root]
    index: str
    compare: Callable[[Run, Source], Report]
    keep_missing: bool
    even_if_many: bool
    rescan: float
    tell: Callable[[Batch], None]
    say: Callable[[str], None]
    interrupted: bool = False
    _begun: bool = False  # the first comparison of all roots is done
    _ungrouped: bool = False
    _worked: float = 0.0

    def run(self) -> bool:
        stop = self.roots[0].run_of_all.stop
        while not stop.is_set():
            self._see_who_is_there()
            roots = [root for root in self.roots if root.identity is not None]
            # The first comparison begins when the system already tells what changes meanwhile.
            for changes in self._changes(roots) if roots else ():
                now = time.monotonic()
                for root in roots:
                    self._note(root, ((change.raw_str(), path) for change, path in changes), now)
                if self._see_who_is_there():
                    break
                self._work(roots)
            stop.wait(0.0 if roots else 1.0)
        if self._ungrouped and not self.interrupted:
            self._group()
        return self.interrupted

    def _changes(self, roots: Sequence[_Root]) -> Iterator[Any]:
        """What watchfiles tells, twice a second at least; ends at the stop, or where it has to begin anew."""
        from watchfiles import watch
        from watchfiles._rust_notify import WatchfilesRustInternalError

        stop = roots[0].run_of_all.stop
        options: dict[str, Any] = {"watch_filter": None, "debounce": 400, "step": 100, "rust_timeout": _LOOK_MS}
        options |= {"yield_on_timeout": True, "stop_event": stop, "ignore_permission_denied": True}
        try:
            yield from watch(*(root.source.path for root in roots), **options)
        except (FileNotFoundError, PermissionError):  # a root went just now
            stop.wait(1.0)
        except WatchfilesRustInternalError:  # a name that is not UTF-8, which it cannot say
            for root in roots:
                root.compare_soon(time.monotonic())
        except OSError as error:
            raise LexlipError(
                f"the system cannot watch all folders ({error}): raise fs.inotify.max_user_watches, or index at night without "
                "--watch."
            ) from error

    def _see_who_is_there(self) -> bool:
        """Take note of roots that went and came; returns whether any did."""
        news = False
        for root in self.roots:
            if root.identity is not None and not root.is_there():
                news, root.identity = True, None
                root.waiting.clear()
                self.say(f"{root.source.root} is gone or empty, perhaps unmounted: nothing is removed, and it is waited for.")
            if root.identity is None and (found := root.looked_at()) is not None:
                news, root.identity = True, found
                root.compare_soon(time.monotonic())
                if self._begun:
                    self.say(f"{root.source.root} is there: it is compared as a whole.")
        return news

    def _note(self, root: _Root, changes: Iterable[tuple[str, str]], now: float) -> None:
        top = os.fspath(root.source.path).rstrip(os.sep) + os.sep
        noted = 0
        for change, path in changes:
            relative = path[len(top) :]
            if not path.startswith(top) or not relative or any(part.startswith(".") for part in relative.split(os.sep)):
                continue
            if change != "deleted" and _passed_over(path, change):
                continue
            noted += 1
            if linked(root.source.path, os.fsencode(relative)):  # see `find_again`
                root.compare_soon(now)
            else:
                root.note(os.fsencode(relative.replace(os.sep, "/")), now)
        if noted > MANY:
            root.compare_soon(now)

    def _work(self, roots: Sequence[_Root]) -> None:
        for root in roots:
            if time.monotonic() >= root.resume:
                self._tried(root, self._look)
            if root.run_of_all.stop.is_set():
                return
        self._begun = True
        if self._ungrouped and time.monotonic() - self._worked > QUIET_SECONDS:
            self._tried(roots[0], lambda _: self._group())

    def _tried(self, root: _Root, work: Callable[[_Root], None]) -> None:
        """Do some work, or say what is wrong and come back to it."""
        try:
            work(root)
        except (UsageError, ModelMismatchError):
            raise
        except LexlipError as error:
            if not self._begun:
                raise
            if not root.is_there():
                return
            self._worked = time.monotonic()
            root.pause = min(_LONGEST_PAUSE, 2 * root.pause or 2.0)
            root.resume = self._worked + root.pause
            if str(error) != root.trouble:
                root.trouble = str(error)
                self.say(f"{error} This is tried again, and what changes meanwhile is kept in mind.")
        else:
            if root.trouble:
                self.say(f"{root.source.root} is up to date again.")
            root.trouble, root.pause = "", 0.0

    def _look(self, root: _Root) -> None:
        now = time.monotonic()
        ready = {path: waiting for path, waiting in root.waiting.items() if waiting.ready <= now}
        if now >= root.due:
            self._look_at_all(root)
        elif ready and self._is_made(root):
            self._look_at(root, ready)

    def _look_at_all(self, root: _Root) -> None:
        root.waiting.clear()  # where this fails it is due again
        started = time.monotonic()
        self._told(root, self.compare(root.run, root.source), whole=True)
        ended = time.monotonic()
        root.removed, root.due = 0, ended + self.rescan
        root.not_before = ended + max(5.0, 3 * (ended - started))

    def _is_made(self, root: _Root) -> bool:
        """Whether there is an index to bring up to date; where somebody deleted it, all is indexed again."""
        run = root.run_of_all
        target = find_target(self.engine, self.index, run.encoder.model, "picture", run.terms)
        if target is None or target.loading:
            root.compare_soon(time.monotonic())
            return False
        return True

    def _look_at(self, root: _Root, ready: dict[bytes, _Waiting]) -> None:
        run = root.run
        index_paths(
            self.engine,
            run,
            root.source,
            list(ready),
            self.index,
            unsettled=root.waiting.keys() - ready.keys(),
            keep_missing=self.keep_missing,
            even_if_many=self.even_if_many,
            removed_before=root.removed,
            is_there=root.is_there,
        )
        for path in ready:
            del root.waiting[path]
        report, tries = run.report, {path: waiting.tries for path, waiting in ready.items()}
        report.skipped = self._for_good(root, report.skipped, tries)
        report.failed = self._for_good(root, report.failed, tries)
        root.removed += report.removed
        self._ungrouped = self._ungrouped or bool(report.indexed or report.removed)
        self._told(root, report, whole=False)

    def _for_good(self, root: _Root, left_out: list[tuple[str, str]], tries: dict[bytes, int]) -> list[tuple[str, str]]:
        """Those that are not looked at once more."""
        now, told = time.monotonic(), []
        for name, reason in left_out:
            path = path_bytes(name)
            tried = tries.get(path, 0) + 1
            if tried >= TRIES:
                told.append((name, reason))
            else:
                root.waiting.setdefault(path, _Waiting(now + 2**tried, now, tried))
        return told

    def _told(self, root: _Root, report: Report, whole: bool) -> None:
        self._worked = time.monotonic()
        self.interrupted = self.interrupted or report.interrupted
        batch = Batch(root.source.root, whole, report)
        if batch.is_news or (whole and not self._begun):
            self.tell(batch)

    def _group(self) -> None:
        group_duplicates(self.engine, self.index)
        self._ungrouped = False


def _passed_over(path: str, change: str) -> bool:
    """Whether something that is there is no picture, nor a folder that is new: what happens in a folder is said of its files."""
    return change == "modified" if os.path.isdir(path) else os.path.splitext(path)[1].lower() not in EXTENSIONS
