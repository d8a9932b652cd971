"""What the systems share."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from benchmarks.versus.system import Cost, Parameters, Way


@dataclass(eq=False)
class BuiltIndex:
    """An index and the ways to ask it; fulfils `Built`. Closing one that is in this process frees its memory."""

    family: str
    parameters: Parameters
    cost: Cost
    asked: Sequence[Way]

    def ways(self) -> Sequence[Way]:
        """See `Built.ways`."""
        return self.asked

    def close(self) -> None:
        """See `Built.close`."""
        self.asked = ()


class OwnAsker:
    """A way that is its own asker, since what it asks is called, not connected to."""

    def asker(self) -> Self:
        """See `Way.asker`."""
        return self

    def close(self) -> None:
        """See `Asker.close`."""
