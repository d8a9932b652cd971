"""Places that do to the process which reads them what a hostile picture may do to its decoder."""

import ctypes
import os
import signal
import time
from dataclasses import dataclass
from typing import Literal

from lexlip_es import decode_worker


@dataclass(frozen=True)
class Misbehaving:
    """A place whose reading ends badly."""

    how: Literal[
        "segfault",
        "abort",
        "exit",
        "killed",
        "hang",
        "hang without a word",
        "hog",
        "memory",
        "raise",
        "print",
        "environment",
        "forge",
    ]
    content: bytes = b""

    def read(self) -> bytes:
        if self.how == "segfault":
            ctypes.string_at(0)
        elif self.how == "abort":
            os.abort()
        elif self.how == "exit":
            os._exit(7)
        elif self.how == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        elif self.how == "hang":
            time.sleep(1000)
        elif self.how == "hang without a word":  # a C library that holds Python's lock: no thread of Python runs
            ctypes.PyDLL(None).sleep(1000)
        elif self.how == "hog":
            return bytes(3 << 30)
        elif self.how == "raise":
            raise RuntimeError("a broken disk")
        elif self.how == "environment":
            raise RuntimeError(" ".join(sorted(os.environ)))
        elif self.how == "forge":  # a decoder that was taken over
            vars(decode_worker)["write_outcome"] = lambda pipe, outcome, seconds: (pipe.write(self.content), pipe.flush())
        elif self.how == "print":
            os.write(1, b"I am no outcome\n" * 10_000)
            os.write(2, b"nor am I\n")
        return self.content


@dataclass(frozen=True)
class Stranger:
    """A place that another process does not know how to make."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return __import__, ("no_such_module_anywhere",)

    def read(self) -> bytes:
        return b""
