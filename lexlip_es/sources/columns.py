"""Columns of a table, or of a shard's JSON, as what is said of a picture: captions, tags and typed values.

A value that does not fit its declared type is never dropped or bent in silence: it is a `Misfit`.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from lexlip_es.captions import TEXT_COLUMNS
from lexlip_es.errors import LexlipError, UsageError
from lexlip_es.rows import is_text, shown
from lexlip_es.sources import Extras

CAPTION_COLUMNS = ("captions", *TEXT_COLUMNS)
TAG_COLUMNS = ("tags", "tag", "keywords")
_MAX_KEYWORD = 32_766  # bytes, Lucene's limit


class Misfit(LexlipError):
    """A value that is not what its column should hold; `str()` is a sentence that names the column."""


def read_schema(declared: Sequence[str]) -> dict[str, str]:
    """`name:type` of each declared column, as a field's name -> its type; raises `UsageError`.

    >>> read_schema(["price:double", "sold:boolean"])
    {'price': 'double', 'sold': 'boolean'}
    """
    schema: dict[str, str] = {}
    for column in declared:
        name, _, kind = column.rpartition(":")
        name, kind = name.strip(), kind.strip().lower()
        if kind not in TYPES:
            raise UsageError(f"{column!r} declares no column: write name:type, with a type of {', '.join(TYPES)}.")
        if not re.fullmatch(r"[^\W_][\w -]{0,99}", name) or name.lower() in {known.lower() for known in schema}:
            raise UsageError(f"{column!r}: a column's name has letters, digits, _ and -, starts with no _, and is declared once.")
        schema[name] = kind
    return schema


def read_extras(values: Mapping[str, object], schema: Mapping[str, str]) -> Extras:
    """What a row says, its columns' names in small letters; a declared column is not a caption or a tag too. Raises `Misfit`."""
    declared = {name.lower() for name in schema}
    meta = {}
    for name, kind in schema.items():
        value = _typed(name, values.get(name.lower()), kind)
        if value is not None:
            meta[name] = value
    return Extras(
        captions=_texts(values, _first(CAPTION_COLUMNS, values, declared)),
        tags=_texts(values, _first(TAG_COLUMNS, values, declared), _separated),
        meta=meta,
    )


def _first(names: Sequence[str], values: Mapping[str, object], declared: set[str]) -> str | None:
    for name in names:
        if name in values and name not in declared:
            return name
    return None


def _texts(
    values: Mapping[str, object], name: str | None, cut: Callable[[str], list[str]] = lambda text: [text]
) -> tuple[str, ...]:
    """The texts of a column, each once; blank and missing ones are left out."""
    value = None if name is None else values[name]
    said: list[Any] = (
        value if isinstance(value, list) else [] if _is_missing(value) else cut(value) if isinstance(value, str) else [value]
    )
    for text in said:
        if text is not None and not is_text(text):
            raise Misfit(f"column {name}: {shown(text)} is no text.")
    return tuple(dict.fromkeys(text.strip() for text in said if text and text.strip()))


def _separated(text: str) -> list[str]:
    return text.split(";" if ";" in text else ",")


# -- types


def _typed(name: str, value: object, kind: str) -> Any:
    """The value, or each of a list, as JSON has it; None where it is missing."""
    if isinstance(value, list):
        if any(isinstance(item, list) for item in value):
            raise Misfit(f"column {name}: {shown(value)}, a list within a list, is no {kind}.")
        return [typed for item in value if (typed := _typed(name, item, kind)) is not None] or None
    if _is_missing(value):
        return None
    try:
        return TYPES[kind](value.strip() if isinstance(value, str) else value)
    except (ValueError, TypeError, OverflowError) as error:
        hint = f", as in {_EXAMPLES[kind]}" if kind in _EXAMPLES else ""
        raise Misfit(f"column {name}: {shown(value)} is no {kind}{hint}.") from error


def _is_missing(value: object) -> bool:
    """Nothing at all, a blank text, or the NaN that stands for a hole in many tables."""
    return value is None or (isinstance(value, str) and not value.strip()) or (isinstance(value, float) and math.isnan(value))


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, int | float | Decimal):
        return str(value)
    if not is_text(value):
        raise ValueError(value)
    return str(value)


def _keyword(value: object) -> str:
    text = _text(value)
    if len(text.encode()) > _MAX_KEYWORD:
        raise ValueError(value)
    return text


def _long(value: object) -> int:
    if isinstance(value, bool) or (isinstance(value, str) and not re.fullmatch(r"[+-]?\d{1,20}", value, re.ASCII)):
        raise ValueError(value)
    number = int(value)  # type: ignore[call-overload]  # a TypeError is one of the answers
    if number != (value if not isinstance(value, str) else number) or not -(1 << 63) <= number < 1 << 63:
        raise ValueError(value)
    return int(number)


def _double(value: object) -> float:
    if isinstance(value, bool) or (
        isinstance(value, str) and not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", value, re.ASCII)
    ):
        raise ValueError(value)
    number = float(value)  # type: ignore[arg-type]
    if not math.isfinite(number):
        raise ValueError(value)
    return number


def _date(value: object) -> str:
    """ISO 8601 as both engines read it by default; a date alone, a month or a year stays what it is."""
    if isinstance(value, date):
        return value.isoformat()
    if not isinstance(value, str) or not re.match(r"\d{4}(-\d\d|$)", value, re.ASCII):
        raise ValueError(value)
    if re.fullmatch(r"\d{4}(-\d\d)?", value, re.ASCII):
        datetime.strptime(value, "%Y-%m" if "-" in value else "%Y")
        return value
    moment = datetime.fromisoformat(value)
    return value[:10] if len(value) == 10 else moment.isoformat()


def _boolean(value: object) -> bool:
    known = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    return value if isinstance(value, bool) else known[str(value).lower()] if str(value).lower() in known else _refuse(value)


def _refuse(value: object) -> bool:
    raise ValueError(value)


TYPES: dict[str, Callable[[object], Any]] = {
    "keyword": _keyword,
    "text": _text,
    "long": _long,
    "double": _double,
    "date": _date,
    "boolean": _boolean,
}
"""The types that a column may be declared with."""
_EXAMPLES = {
    "date": "2026-01-31 or 2026-01-31T12:00:00+01:00",
    "boolean": "true or false",
    "keyword": f"at most {_MAX_KEYWORD} bytes",
}
