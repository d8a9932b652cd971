"""How many clauses a server takes in a query, and what is asked of it when a query has more."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lexlip_es.engines.cluster import CLAUSE_LIMIT
from lexlip_es.engines.protocol import JsonObject
from lexlip_es.errors import LexlipError, UsageError
from lexlip_es.queries import Filter
from lexlip_es.weights import Row

# In the refusals of every version: "maxClauseCount is set to 1024", "... too many nested clauses; maxClauseCount is set to 1024"
_REFUSED = re.compile(r"maxClauseCount is set to (\d+)")


@dataclass(frozen=True)
class Asked:
    """What a server answered, to which row (what was left of the one given), and what a person should know about that."""

    answer: JsonObject
    row: Row
    notes: list[str]


class ClauseLimit:
    """How many clauses a server takes in a query: not known before it refuses one, and remembered from then on.

    The refusal says the number. Settings are not asked: few users may read them, and nearly no query comes near the limit.
    """

    def __init__(self) -> None:
        self._known: int | None = None

    def ask(self, row: Row, send: Callable[[Row], JsonObject], *beside: Filter | None) -> Asked:
        """What `send` answers to the row, cut to its heaviest terms as far as the server demands it.

        beside: the clauses that `send` adds to the query. Raises `UsageError` where they alone are too much for the server, and
        what `send` raises.
        """
        fitting, _ = fit_clauses(row, self._known, *beside)
        while True:
            try:
                answer = send(fitting)
                break
            except LexlipError as error:
                refused = _REFUSED.search(str(error))
                if refused is None:
                    raise
                self._known = int(refused[1])
                asked = len(fitting[0])
                if asked <= 1:
                    raise UsageError(
                        f"the filter, or the query's demands and phrases, have more clauses than the server takes "
                        f"({self._known}): use fewer, or raise {CLAUSE_LIMIT}."
                    ) from error
                fitting, _ = fit_clauses(row, self._known, *beside)
                if len(fitting[0]) >= asked:  # the filter has more clauses than can be seen, such as a text's many words
                    fitting = row[0][: asked // 2], row[1][: asked // 2]
        dropped = len(row[0]) - len(fitting[0])
        said = (
            f"{dropped} of {len(row[0])} query terms, the lightest, were left out: the server takes no more than {self._known} "
        )
        return Asked(answer, fitting, [f"{said}clauses ({CLAUSE_LIMIT})."] if dropped else [])


def fit_clauses(row: Row, limit: int | None, *beside: Filter | None) -> tuple[Row, int]:
    """The row cut to its heaviest terms so that these and the clauses beside are no more than `limit`, and how many were dropped.

    Of a clause beside, such as a filter, each value is taken for one, a list of values for one, and each word of a text.
    """
    if limit is None:
        return row, 0
    kept = max(1, limit - sum(map(_leaves, filter(None, beside))))
    return (row[0][:kept], row[1][:kept]), max(0, len(row[0]) - kept)


def _leaves(clause: Any) -> int:
    if isinstance(clause, Mapping):
        return sum(
            len(value.split()) if key == "query" and isinstance(value, str) else _leaves(value)
            for key, value in clause.items()
            if key not in ("boost", "_name", "minimum_should_match")
        )
    if isinstance(clause, Sequence) and any(isinstance(item, Mapping) for item in clause):
        return sum(map(_leaves, clause))
    return 1
