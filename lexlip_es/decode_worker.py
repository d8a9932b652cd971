"""The process that reads and decodes pictures, so that a hostile one takes down this process and not the run.

`Decoders` starts it with a pipe on stdin, over which settings and then places come, pickled, and one on stdout, over which
outcomes go back, which are not (see `outcomes`). Only what decoding needs is imported. It ends when stdin does, that is with its
parent, however that ended.
"""

import contextlib
import os
import pickle
import signal
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import BinaryIO

from lexlip_es.entries import Place
from lexlip_es.images import PictureError, PictureSpec, content_hash, open_picture
from lexlip_es.outcomes import Decoded, Outcome, write_outcome

READY = "ready"  # the first outcome, which is about no picture
GRACE = 5.0  # seconds that the parent has to end a picture that takes too long, before this process ends itself


@dataclass(frozen=True)
class Work:
    """How pictures are decoded, and what one may cost: `seconds` of time, `memory` in bytes."""

    spec: PictureSpec
    with_location: bool
    seconds: float
    memory: int


def decode_place(place: Place, work: Work) -> tuple[Outcome, float]:
    """Read and decode what is at a place; returns the outcome and the seconds that it took. Raises nothing."""
    started = time.perf_counter()
    outcome: Outcome
    try:
        data = place.read()
        outcome = Decoded(open_picture(data, work.spec, with_location=work.with_location), content_hash(data))
    except PictureError as error:
        outcome = error.reason
    except MemoryError:
        outcome = "There is not enough memory to read the file."
    except Exception as error:  # a place may be anything that can be read
        outcome = f"The file cannot be read ({type(error).__name__}: {error})."
    return outcome, time.perf_counter() - started


def main() -> None:
    """Take places from stdin and send outcomes to stdout, in their order, until stdin ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer: what is begun is finished
    outcomes = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints is no outcome
    places = sys.stdin.buffer
    work: Work = pickle.load(places)
    _import_decoders()
    _limit(work.memory)
    _send(outcomes, READY, 0.0)
    with open(os.devnull, "wb") as nowhere:  # from here on what is printed is about pictures, and the parent has words for that
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    waiting: SimpleQueue[bytes] = SimpleQueue()
    threading.Thread(target=_listen, args=(places, waiting), daemon=True).start()
    while True:
        pickled = waiting.get()
        _alarm(work.seconds + GRACE)
        try:
            place: Place = pickle.loads(pickled)
        except Exception as error:
            _send(outcomes, f"The file's place is not known to the decoding process ({type(error).__name__}: {error}).", 0.0)
        else:
            _send(outcomes, *decode_place(place, work))
        _alarm(0)


def _listen(places: BinaryIO, waiting: "SimpleQueue[bytes]") -> None:
    """Read ahead, in a thread, so that the parent's end is noticed while a picture is decoded."""
    while True:
        try:
            waiting.put(pickle.load(places))
        except Exception:  # EOFError: the parent has closed the pipe, or is no more
            os._exit(0)


def _send(outcomes: BinaryIO, outcome: Outcome, seconds: float) -> None:
    try:
        write_outcome(outcomes, outcome, seconds)
    except OSError:  # the parent is gone
        os._exit(0)


def _import_decoders() -> None:
    import numpy  # noqa: F401
    from PIL import Image

    Image.preinit()


def _limit(memory: int) -> None:
    """Bound this process, as far as the system can: memory above what it has now, no core file, first to go when memory ends."""
    with contextlib.suppress(OSError):  # Linux
        Path("/proc/self/oom_score_adj").write_text("500")
    try:
        import resource
    except ImportError:  # Windows
        return
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError, ValueError):  # macOS takes the limit for a wish, and has no /proc
        present = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        soft, hard = resource.getrlimit(resource.RLIMIT_AS)
        limits = [limit for limit in (soft, hard, present + memory) if limit != resource.RLIM_INFINITY]
        resource.setrlimit(resource.RLIMIT_AS, (min(limits), hard))


def _alarm(seconds: float) -> None:
    """Let the system end this process after so many seconds, even in the midst of a library; 0: no more."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, seconds)
