"""One finding of the doctor."""

from dataclasses import asdict, dataclass
from typing import Literal

State = Literal["ok", "warning", "failure"]


@dataclass(frozen=True)
class Line:
    """What was found about one subject; the sentence of a warning or a failure ends with the remedy."""

    subject: str
    state: State
    said: str

    def to_json(self) -> dict[str, str]:
        """The line as JSON."""
        return asdict(self)


def ok(subject: str, said: str) -> Line:
    """All is well."""
    return Line(subject, "ok", said)


def warning(subject: str, said: str) -> Line:
    """It works, but not as it should or not for everything."""
    return Line(subject, "warning", said)


def failure(subject: str, said: str) -> Line:
    """Searching or indexing cannot work like this."""
    return Line(subject, "failure", said)
