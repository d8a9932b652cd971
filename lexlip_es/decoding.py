"""Decoding in worker processes: a picture that crashes its decoder, hangs it or eats memory is one line of the report.

A worker is `decode_worker.py` in a fresh interpreter, never a fork, and never an import of the user's own script as
`multiprocessing` would do: a program needs no `if __name__ == "__main__"`. Each has pipes of its own, so that one killed in the
midst of a message spoils nobody else's, and a thread here that feeds it. (pebble's pool has the timeouts too, but one pipe and
one lock for all its workers, the user's script imported in each, and twice the cost to this process.) Where no interpreter can be
started, or with `workers=0`, threads of this process decode, unprotected.
"""

import contextlib
import itertools
import pickle
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing import spawn
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import IO, Any, Protocol, TypeVar

from lexlip_es.decode_process import cause_of_death, launch
from lexlip_es.decode_worker import READY, Work, decode_place
from lexlip_es.entries import Place
from lexlip_es.errors import LexlipError
from lexlip_es.images import PictureError, PictureSpec
from lexlip_es.machine import cpus
from lexlip_es.outcomes import Decoded, Outcome, read_outcome

__all__ = ["MEMORY", "SECONDS", "Decoded", "Decoders", "Item", "T"]

SECONDS = 60.0
"""How long one picture may take; the largest that is decoded takes ten."""
MEMORY = 4 << 30
"""What one picture may need, in bytes: four times the largest that is decoded, as some formats need copies."""

_AT_ONCE = 3  # pictures a worker has: one that it decodes, others so that it never waits for this process's attention
_LOOK = 0.5  # seconds between looks at the clock while an outcome is waited for
_START_SECONDS = 60.0


class Item(Protocol):
    """What can be decoded: a `Found`, or anything else that says where its content is and what people call it."""

    @property
    def place(self) -> Place:
        """Where the content is."""
        ...

    @property
    def display_path(self) -> str:
        """The path as text."""
        ...


T = TypeVar("T", bound=Item)


class Decoders:
    """Reads and decodes pictures in processes, which start when they are needed and end with `close`, or with this process."""

    def __init__(
        self,
        spec: PictureSpec,
        *,
        workers: int | None = None,
        with_location: bool = False,
        seconds: float = SECONDS,
        memory: int = MEMORY,
    ) -> None:
        """workers: how many processes (default: one a processor); 0: threads of this process, without limits of time and memory.

        A picture that takes longer than `seconds`, or more than about `memory` bytes (Linux), is given up. `with_location` also
        reads where a picture was taken.
        """
        self.workers = cpus() if workers is None else workers
        self.busy_seconds = 0.0
        """Seconds of reading and decoding, summed over the workers."""
        self._work = Work(spec, with_location, seconds, memory)
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._processes: list[_Worker] = []
        self._threads: ThreadPoolExecutor | None = None
        if not self.workers or getattr(sys, "frozen", False) or not spawn.get_executable():
            self._threads = ThreadPoolExecutor(self.workers or max(2, cpus()), "decode")

    def __enter__(self) -> "Decoders":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @property
    def picture_bytes(self) -> int:
        """What a decoded picture takes, in bytes."""
        return 3 * self._work.spec.size**2

    @property
    def lost(self) -> int:
        """Workers that died or were ended over a picture."""
        return sum(worker.lost for worker in self._processes)

    @property
    def pids(self) -> list[int]:
        """The worker processes that run now."""
        return [worker.process.pid for worker in self._processes if worker.process is not None]

    def decode(self, items: Iterable[T], ahead: int) -> Iterator[tuple[T, Decoded | PictureError]]:
        """Yield each item with its picture, or with the reason why there is none, in the items' order.

        Up to `ahead` items are taken before they are asked for: decoded pictures (size x size x 3 bytes) wait in memory.
        Raises `LexlipError` where no worker can be started.
        """
        waiting: deque[tuple[T, Future[tuple[Outcome, float]]]] = deque()
        iterator = iter(items)
        try:
            while True:
                for item in itertools.islice(iterator, max(1, ahead) - len(waiting)):
                    waiting.append((item, self._submit(item.place)))
                if not waiting:
                    return
                item, future = waiting.popleft()
                outcome, seconds = self._result(future)
                self.busy_seconds += seconds
                yield item, PictureError(outcome) if isinstance(outcome, str) else outcome
        finally:
            for _, future in waiting:
                future.cancel()

    def close(self) -> None:
        """End the workers, whatever they are doing."""
        if self._threads is not None:
            self._threads.shutdown(cancel_futures=True)
        self._jobs.put(None)
        for worker in self._processes:
            worker.end()

    def _submit(self, place: Place) -> "Future[tuple[Outcome, float]]":
        if self._threads is not None:
            return self._threads.submit(decode_place, place, self._work)
        job = _Job(pickle.dumps(place), Future())
        self._jobs.put(job)
        if len(self._processes) < self.workers:
            worker = _Worker(self._jobs, self._work)
            self._processes.append(worker)
            worker.thread.start()
        return job.future

    def _result(self, future: "Future[tuple[Outcome, float]]") -> tuple[Outcome, float]:
        while True:
            try:
                return future.result(_LOOK)
            except TimeoutError:  # nothing yet: is somebody stuck?
                for worker in self._processes:
                    worker.end_if_overdue()


@dataclass(frozen=True, eq=False)
class _Job:
    place: bytes
    future: "Future[tuple[Outcome, float]]"


class _Worker:
    """One process and the thread that feeds it, and starts it anew when it died."""

    def __init__(self, jobs: "SimpleQueue[_Job | None]", work: Work) -> None:
        self.lost = 0
        self.process: subprocess.Popen[bytes] | None = None
        self.thread = threading.Thread(target=self._run, name="decode", daemon=True)
        self._jobs, self._work = jobs, work
        self._under_way: deque[_Job] = deque()  # the first is being decoded
        self._deadline = float("inf")
        self._overdue: _Job | None = None
        self._lock = threading.Lock()  # so that the clock ends the process over the picture that is late, and not the next one
        self._ended = False

    def end(self) -> None:
        """End process and thread; what is under way is not waited for."""
        with self._lock:
            self._ended = True
            if self.process is not None:
                self.process.kill()
        self.thread.join(5)  # one that a dead network drive holds in the kernel is left to it

    def end_if_overdue(self) -> None:
        """End the process if its picture took too long; the thread will notice, and go on with another process."""
        with self._lock:
            if self.process is not None and self._under_way and time.monotonic() > self._deadline:
                self._overdue = self._under_way[0]
                self.process.kill()

    # -- in the thread

    def _run(self) -> None:
        try:
            while self._take():
                self._receive()
        except BaseException as error:  # above all: no worker can be started
            while self._under_way:
                self._under_way.popleft().future.set_exception(error)
            self._refuse_all(error)
        finally:
            self._dismiss()

    def _take(self) -> bool:
        """Send the process its next jobs; waits for one where it has none. False when there will be no more."""
        while len(self._under_way) < _AT_ONCE:
            try:
                job = self._jobs.get(block=not self._under_way)
            except Empty:
                break
            if job is None:
                self._jobs.put(None)  # for the other workers
                break
            if job.future.set_running_or_notify_cancel():
                self._hand_over(job)
        return bool(self._under_way) and not self._ended

    def _hand_over(self, job: _Job) -> None:
        with self._lock:
            self._under_way.append(job)
            if len(self._under_way) == 1:
                self._deadline = time.monotonic() + self._work.seconds
        if self.process is None or (not self._send(job.place) and len(self._under_way) == 1):
            self._start()  # the first one, or one for another that died while it had nothing to do: nobody's fault

    def _receive(self) -> None:
        """Wait for the outcome of the first job, or for the end of the process, which is an outcome too."""
        assert self.process is not None
        try:
            outcome = self._read()
        except Exception as error:  # EOFError: it ended, perhaps in the midst of an outcome
            self._bury(nonsense=not isinstance(error, EOFError))
            return
        with self._lock:
            job = self._under_way.popleft()
            self._deadline = time.monotonic() + self._work.seconds
        job.future.set_result(outcome)

    def _bury(self, nonsense: bool) -> None:
        code = self._dismiss()
        if self._ended:
            return
        guilty = self._under_way[0]
        if self._overdue in (None, guilty):  # else it was ended just when the late picture was done after all
            late = self._overdue is guilty
            with self._lock:
                self._under_way.popleft()
                self.lost += 1
            cause = cause_of_death(code, self._work.seconds if late else None)
            guilty.future.set_result(("The decoder said nonsense of the picture." if nonsense else cause, 0.0))
        self._overdue = None
        if self._under_way:
            self._start()

    def _start(self) -> None:
        """Start a process, and give it what is under way."""
        self._dismiss()
        try:
            with self._lock:
                if self._ended:
                    return
                self._deadline = time.monotonic() + _START_SECONDS
                self.process = launch()
            _write(self.process.stdin, self._work)  # type: ignore[arg-type]
            if self._read()[0] != READY:
                raise ValueError("it does not say that it is ready")
        except Exception as error:
            code = self._dismiss()
            why = error if code is None else f"it ended with {code}"
            raise LexlipError(f"No process can be started to decode pictures ({why}): use threads (workers=0).") from error
        self._deadline = time.monotonic() + self._work.seconds
        for job in tuple(self._under_way):
            self._send(job.place)

    def _read(self) -> tuple[Outcome, float]:
        assert self.process is not None
        return read_outcome(self.process.stdout, self._work.spec.size)  # type: ignore[arg-type]

    def _send(self, place: bytes) -> bool:
        assert self.process is not None
        try:
            _write(self.process.stdin, place)  # type: ignore[arg-type]
        except OSError:  # it died
            return False
        return True

    def _dismiss(self) -> int | None:
        """End the process, if there is one; returns how it ended."""
        with self._lock:
            process, self.process = self.process, None
        if process is None:
            return None
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.5)
        process.kill()  # does nothing where it has ended
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):  # what was still to be sent finds nobody
                pipe.close()  # type: ignore[union-attr]
        return process.wait()

    def _refuse_all(self, error: BaseException) -> None:
        while True:
            job = self._jobs.get()
            if job is None:
                self._jobs.put(None)
                return
            if job.future.set_running_or_notify_cancel():
                job.future.set_exception(error)


def _write(pipe: IO[bytes], message: Any) -> None:
    pickle.dump(message, pipe, protocol=5)
    pipe.flush()
