"""What systems in this process share: they are called, not connected to."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from benchmarks.versus.system import Cost, Parameters, Way


@dataclass(eq=False)
class InProcess:
    """An index in this process; fulfils `Built`. Closing it frees its memory."""

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
    """A way that is its own asker."""

    def asker(self) -> Self:
        """See `Way.asker`."""
        return self

    def close(self) -> None:
        """See `Asker.close`."""
