"""Rows of tables, whoever wrote them: CSV with any delimiter, JSON lines, a JSON list, Parquet.

Text files are UTF-8, with or without a byte order mark. What cannot be read is a `LexlipError` that names the file and the line:
no row is ever lost in silence.
"""

import csv
import json
import reprlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from lexlip_es.errors import LexlipError


def read_lines(path: Path) -> Iterator[str]:
    """Read lines as UTF-8, ends included, without the byte order mark; works on a pipe too."""
    number = 0
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                yield line.decode("utf-8-sig" if number == 1 else "utf-8")
    except FileNotFoundError as error:
        raise LexlipError(f"{path} does not exist.") from error
    except UnicodeDecodeError as error:
        raise LexlipError(f"{path}, line {number}: this is not UTF-8; save the file as UTF-8.") from error
    except OSError as error:
        raise LexlipError(f"{path} cannot be read ({error.strerror or error}).") from error


def after_blank_lines(path: Path) -> tuple[int, str, Iterator[str]]:
    """How many blank lines a file starts with, the first line after them, and all lines from that one on."""
    lines = read_lines(path)
    for blank, first in enumerate(lines):
        if first.strip():
            return blank, first, chain([first], lines)
    raise LexlipError(f"{path} is empty.")


def csv_header(line: str, delimiter: str) -> list[str]:
    """The names of the columns in small letters, if `line` is a header with this delimiter; [] where it is none."""
    try:
        return [name.strip().lower() for name in next(csv.reader([line], delimiter=delimiter))]
    except (csv.Error, StopIteration):
        return []


def csv_rows(path: Path, lines: Iterable[str], before: int, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Line number and fields of each row after the header, blank lines left out; all rows have as many fields as the header.

    `before` lines were read already.
    """
    reader = csv.reader(lines, delimiter=delimiter, strict=True)  # strict: a quote left open is an error
    sign = "tab" if delimiter == "\t" else f"{delimiter!r}"
    last, width = before, 0
    try:
        for number, row in enumerate(reader):
            at, last = last + 1, before + reader.line_num  # a quoted text may go over several lines
            if number == 0:
                if reader.line_num > 1:
                    raise LexlipError(f"{path}, line {at}: a column's name goes over several lines; write the header in one.")
                width = len(row)
            if number == 0 or not row:
                continue
            if len(row) != width:
                raise LexlipError(
                    f"{path}, line {at}: expected {width} fields, as in the header, and found {len(row)}; "
                    f"put a text that holds a {sign} between double quotes."
                )
            yield at, row
    except csv.Error as error:
        raise LexlipError(
            f"{path}, line {last + 1}: a double quote is not closed, not doubled within quotes, or the text is longer "
            f"than {csv.field_size_limit():,} characters ({error})."
        ) from error


def json_items(path: Path, lines: Iterable[str], before: int) -> Iterator[tuple[int, object]]:
    """Number, from 1, and value of each item of a JSON list; `before` lines were read already."""
    try:
        items = json.loads("".join(lines))
    except json.JSONDecodeError as error:
        raise LexlipError(f"{path}, line {error.lineno + before}: this is not JSON ({error.msg}).") from error
    except RecursionError as error:
        raise LexlipError(f"{path}: expected a list of JSON objects, and found far deeper nesting.") from error
    except ValueError as error:  # Python refuses numbers of thousands of digits
        raise LexlipError(f"{path}: this JSON cannot be read ({error}).") from error
    if not isinstance(items, list):
        raise LexlipError(f"{path}: expected a JSON list of objects, or one object a line in a file named .jsonl.")
    yield from enumerate(items, 1)


def json_lines(path: Path, lines: Iterable[str], before: int = 0) -> Iterator[tuple[int, object]]:
    """Line number and value of each line of JSON lines, blank ones left out; `before` lines were read already."""
    for number, line in enumerate(lines, 1 + before):
        if not line.strip():
            continue
        try:
            item = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise LexlipError(f"{path}, line {number}: expected one JSON object a line ({error}).") from error
        yield number, item


def json_object(path: Path, where: str, item: object) -> dict[str, Any]:
    """The item's values by their names in small letters; raises unless it is an object."""
    if not isinstance(item, dict):
        found = shown(item) if isinstance(item, list) else json.dumps(item)[:60]
        raise LexlipError(f"{path}, {where}: expected a JSON object, and found {found}.")
    return {str(name).lower(): value for name, value in item.items()}


def parquet_rows(path: Path, choose: Callable[[list[str]], Sequence[str]]) -> Iterator[tuple[Any, ...]]:
    """The values of the columns that `choose` picks from the names of all, row by row; one row group at a time is in memory.

    Times are `datetime`, to the microsecond.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise LexlipError(
            f"{path} is Parquet, which needs pyarrow: pip install 'lexlip-es[parquet]', or give it as CSV."
        ) from error
    try:
        with parquet.ParquetFile(path) as file:
            names = choose(list(file.schema_arrow.names))
            for batch in file.iter_batches(columns=list(names)):
                columns = []
                for name in names:
                    column = batch.column(name)
                    if pyarrow.types.is_timestamp(column.type):  # Python's own times have no nanoseconds
                        column = column.cast(pyarrow.timestamp("us", "UTC" if column.type.tz else None), safe=False)
                    columns.append(column.to_pylist())
                yield from zip(*columns, strict=True)
    except FileNotFoundError as error:
        raise LexlipError(f"{path} does not exist.") from error
    except (pyarrow.ArrowException, OSError, ValueError, OverflowError) as error:
        raise LexlipError(f"{path} cannot be read as Parquet ({str(error).splitlines()[0][:120]}).") from error


def shown(value: object) -> str:
    """A value as a sentence shows it: short, printable, and however deep lists are nested.

    >>> shown([[[[[[[1]]]]]]]), shown("a.jpg")
    ('[[[[[[...]]]]]]', "'a.jpg'")
    """
    return (reprlib.repr(value) if isinstance(value, list | dict) else repr(value))[:60]


def is_object(line: str) -> bool:
    """Tell whether a line is a JSON object, or starts a broken one (`{"` starts no caption that anybody wrote)."""
    return line.lstrip().startswith("{") and line.lstrip("{ \t").startswith('"')


def is_text(value: object) -> bool:
    """Tell whether a value is a text that can be written as UTF-8: JSON can spell half of a surrogate pair."""
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
