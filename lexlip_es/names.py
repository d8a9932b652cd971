"""Names of indices and aliases: defaults, the numbered index behind an alias, and what is no name."""

import re
from collections.abc import Iterable
from typing import Literal

from lexlip_es.errors import UsageError

Kind = Literal["picture", "text"]
DEFAULT_INDEX: dict[Kind, str] = {"picture": "pictures", "text": "texts"}
# What both engines accept, less the signs by which they would take one name for several (their "Create index" documents);
# 248 bytes leave room for the number behind an alias.
_NAME = re.compile(r"(?![-_+.])[^A-Z\\/*?\"<>| ,#:\s\x00-\x1f]{1,248}\Z")


def index_name(name: str | None, kind: Kind = "picture") -> str:
    """The alias to use: the given one, else `pictures` or `texts`. Raises `UsageError` for what cannot name one index."""
    chosen = name or DEFAULT_INDEX[kind]
    if not _NAME.match(chosen) or len(chosen.encode("utf-8", "replace")) > 248:
        raise UsageError(
            f'{chosen[:80]!r} cannot be the name of an index: use lower case, no spaces and none of \\ / * ? " < > | , # :, '
            "and start with a letter or a digit."
        )
    return chosen


def first_index(alias: str) -> str:
    """The name of the first index behind an alias: `pictures` -> `pictures-000001`."""
    return f"{alias}-000001"


def next_index(alias: str, taken: Iterable[str]) -> str:
    """The name of the next index behind an alias: one more than the highest number among the names taken.

    >>> next_index("pictures", ["pictures-000001", "pictures-000007", "pictures-of-dogs-000009"])
    'pictures-000008'
    """
    numbers = [int(name[-6:]) for name in taken if alias_of(name) == alias]
    return f"{alias}-{max(numbers, default=0) + 1:06}"


def alias_of(index: str) -> str | None:
    """The alias that a numbered index stands behind, or None for a name without such a number."""
    found = re.fullmatch(r"(.+)-\d{6}", index)
    return found[1] if found else None
