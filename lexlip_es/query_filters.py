"""What a hit must be like, as clauses of the engine's that give no score: pure functions, no client, no I/O.

Clauses of terms match the pictures that carry a term at all, whatever its weight: inside `filter` and `must_not` of a `bool` a
`rank_feature` and, on a `sparse_vector`, a `term` do just that (measured on all servers of the tests).
"""

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import date, timedelta
from typing import Any

from lexlip_es.dialects import FieldType
from lexlip_es.lexicon import Lexicon
from lexlip_es.printable import encodable
from lexlip_es.queries import Filter

_VALUES = r"(?P<sign>>=|<=|>|<)?(?P<only>[\d-]+)|(?P<low>[\d-]+)?\.\.(?P<high>[\d-]+)?"
_NUMBER = r"[0-9]{1,9}"  # what fits into the engines' `integer`
_DAY = r"([0-9]{4})(?:-([0-9]{2})(?:-([0-9]{2}))?)?"
_Span = tuple[Any, Any]  # the first value, and the first one after


def field_clause(name: str, value: str) -> Filter | None:
    """The clause of `NAME:VALUE` in a query, or None where there is no such name or the value is malformed.

    >>> field_clause("taken", "2024..2025")
    {'range': {'taken_at': {'gte': '2024-01-01', 'lt': '2026-01-01'}}}
    >>> field_clause("folder", "holidays/"), field_clause("width", "wide")
    ({'term': {'folder': 'holidays'}}, None)
    """
    made = _FIELDS.get(name)
    return made(encodable(value)) if made else None


def _range(field: str, span_of: Callable[[str], _Span | None]) -> Callable[[str], Filter | None]:
    """Values, their ranges and comparisons: `2024`, `2024..2025`, `2024..`, `..2025`, `>2024`, `>=2024`, `<2024`, `<=2024`."""

    def clause(value: str) -> Filter | None:
        found = re.fullmatch(_VALUES, value)
        if not found or not any(found.group("only", "low", "high")):
            return None
        lowest, highest = (
            span_of(part) if part else (None, None) for part in (found["only"] or found["low"], found["only"] or found["high"])
        )
        if lowest is None or highest is None:
            return None
        start, after = lowest[0], highest[1]
        bounds = {None: (start, after), ">": (after, None), ">=": (start, None), "<": (None, start), "<=": (None, after)}[
            found["sign"]
        ]
        return {"range": {field: {key: bound for key, bound in zip(("gte", "lt"), bounds, strict=True) if bound is not None}}}

    return clause


def _number(text: str) -> _Span | None:
    return (int(text), int(text) + 1) if re.fullmatch(_NUMBER, text) else None


def _days(text: str) -> _Span | None:
    """The first day of a year, a month or a day, and the first day after it."""
    found = re.fullmatch(_DAY, text)
    if not found:
        return None
    year, month, day = (int(part) if part else None for part in found.groups())
    try:
        first = date(year or 0, month or 1, day or 1)
        if day is not None:
            after = first + timedelta(days=1)
        else:
            after = date(first.year + (month in (None, 12)), first.month % 12 + 1 if month else 1, 1)
    except (ValueError, OverflowError):  # the thirty-first of June, the year 0
        return None
    return first.isoformat(), after.isoformat()


def _folder(value: str) -> Filter | None:
    folder = value.strip("/")
    return {"term": {"folder": folder}} if folder else None  # documents hold every ancestor


def _camera(value: str) -> Filter | None:
    escaped = re.sub(r"([*?\\])", r"\\\1", value)
    return {"wildcard": {"camera": {"value": f"*{escaped}*", "case_insensitive": True}}}


def _tag(value: str) -> Filter | None:
    return {"term": {"tags": {"value": value, "case_insensitive": True}}}


_FIELDS: dict[str, Callable[[str], Filter | None]] = {
    "taken": _range("taken_at", _days),
    "width": _range("width", _number),
    "height": _range("height", _number),
    "folder": _folder,
    "camera": _camera,
    "tag": _tag,
}


def carrying(terms: Sequence[int], lexicon: Lexicon, field_type: FieldType) -> list[dict[str, Any]]:
    """A clause for each term: documents that carry it."""
    if field_type == "sparse_vector":
        return [{"term": {"terms": name}} for name in lexicon.names(terms)]
    return [{"rank_feature": {"field": f"terms.{name}", "linear": {}}} for name in lexicon.names(terms)]


def all_of(
    demanded: Iterable[Sequence[int]],
    banned: Iterable[Sequence[int]],
    filters: Sequence[Filter],
    lexicon: Lexicon,
    field_type: FieldType,
) -> Filter | None:
    """One clause that demands everything; None where there is nothing to demand.

    demanded, banned: for each word the term ids of its pieces: all of them are demanded; no picture with all of them is let in.
    """
    must = [*filters, *(clause for word in demanded for clause in carrying(word, lexicon, field_type))]
    must_not = [{"bool": {"filter": carrying(word, lexicon, field_type)}} for word in banned]
    if len(must) == 1 and not must_not:
        return must[0]
    clauses = {name: listed for name, listed in (("filter", must), ("must_not", must_not)) if listed}
    return {"bool": clauses} if clauses else None
