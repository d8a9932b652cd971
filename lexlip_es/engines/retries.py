"""When to ask again: a bounded number of growing pauses, spread by chance so that many loaders do not come back together."""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from lexlip_es.errors import LexlipError

OVERLOADED = frozenset({429, 502, 503, 504})  # the request was fine, the server was not ready for it


@dataclass(frozen=True)
class RetryPolicy:
    """`attempts` tries in all; pauses in seconds double from `first` up to `longest`, each shortened by up to half by chance.

    `obeys` is the longest pause made because the server asked for it (`Retry-After`).
    """

    attempts: int = 4
    first: float = 0.1
    longest: float = 15.0
    obeys: float = 1.0

    def pauses(self) -> Iterator[float]:
        """The pauses between the tries: `attempts - 1` of them."""
        for attempt in range(self.attempts - 1):
            yield min(self.longest, self.first * 2**attempt) * random.uniform(0.5, 1.0)

    def lengthened(self, pause: float, failure: "TemporaryFailure") -> float:
        """The pause, or the longer one that the server asked for, within reason."""
        return max(pause, min(failure.asked, self.obeys))


QUICK = RetryPolicy()  # a person waits: a dead engine is known as dead within a second
# A load and its end: one to two minutes. That is a node's restart, and twice or more the half minute after which a server looks
# at its full disk again and lifts the block. Longer would not help: nobody makes room at night, and a run that ended with a
# sentence is better to find in the morning than one that hangs. The next one goes on from what the index holds.
PATIENT = RetryPolicy(attempts=16, first=0.25, obeys=120.0)


class TemporaryFailure(Exception):
    """One try failed in a way that another may not; `error` is what to raise when there is no other.

    `status` is 0 where the connection was lost; `reached` says whether the server may have carried the request out; `asked` is
    the number of seconds after which the server wants to be asked again, 0 where it did not say.
    """

    def __init__(self, error: LexlipError, status: int, *, reached: bool, asked: float = 0.0) -> None:
        super().__init__(str(error))
        self.error = error
        self.status = status
        self.reached = reached
        self.asked = asked
