"""When to ask again: a bounded number of growing pauses, spread by chance so that many loaders do not come back together."""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from lexlip_es.errors import LexlipError

OVERLOADED = frozenset({429, 502, 503, 504})  # the request was fine, the server was not ready for it


@dataclass(frozen=True)
class RetryPolicy:
    """`attempts` tries in all; pauses in seconds double from `first` up to `longest`, each shortened by up to half by chance."""

    attempts: int = 4
    first: float = 0.1
    longest: float = 15.0

    def pauses(self) -> Iterator[float]:
        """The pauses between the tries: `attempts - 1` of them."""
        for attempt in range(self.attempts - 1):
            yield min(self.longest, self.first * 2**attempt) * random.uniform(0.5, 1.0)


QUICK = RetryPolicy()  # a person waits: a dead engine is known as dead within a second
PATIENT = RetryPolicy(attempts=8, first=0.25)  # a load and its end: about half a minute, the length of a node's restart


class TemporaryFailure(Exception):
    """One try failed in a way that another may not; `error` is what to raise when there is no other.

    `status` is 0 where the connection was lost; `reached` says whether the server may have carried the request out.
    """

    def __init__(self, error: LexlipError, status: int, *, reached: bool) -> None:
        super().__init__(str(error))
        self.error = error
        self.status = status
        self.reached = reached
