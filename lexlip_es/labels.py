"""Reading the label of each picture: CSV or TSV with a header, or one JSON object a line.

The picture's column has one of the names that it has in a captions file, the label's is `label`. Names are relative to the folder
of pictures. What cannot be read is a `LexlipError` that names the file and the line.
"""

import csv
from collections.abc import Iterator
from pathlib import Path

from lexlip_es.captions import PICTURE_COLUMNS, picture_name
from lexlip_es.errors import LexlipError
from lexlip_es.rows import json_lines

LABEL_COLUMN = "label"
_EXPECTED = f"the picture's name ({', '.join(PICTURE_COLUMNS[:-1])} or {PICTURE_COLUMNS[-1]}) and {LABEL_COLUMN}"


def read_labels(path: Path) -> dict[str, str]:
    """Read every picture's label, in the file's order; raises `LexlipError`, also where a picture has two different labels."""
    labels: dict[str, str] = {}
    for line, picture, label in _rows(path, _text(path)):
        if not picture or not label:
            raise LexlipError(f"{path}, line {line}: expected {_EXPECTED}, and one of them is empty.")
        name = picture_name(picture)
        if labels.setdefault(name, label) != label:
            raise LexlipError(f"{path}, line {line}: {name} is labelled both {labels[name]!r} and {label!r}: keep one of them.")
    if not labels:
        raise LexlipError(f"{path} holds no labels.")
    return labels


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise LexlipError(f"{path} is not UTF-8; save the file as UTF-8.") from error
    except OSError as error:
        raise LexlipError(f"{path} cannot be read ({error.strerror or error}).") from error


def _rows(path: Path, text: str) -> Iterator[tuple[int, str, str]]:
    """Line number, picture and label of each row."""
    lines = text.splitlines(keepends=True)
    if path.suffix.lower() in (".jsonl", ".ndjson") or text.lstrip().startswith("{"):
        yield from _from_json_lines(path, lines)
        return
    header = lines[0] if lines else ""
    delimiter = next((sign for sign in "\t;" if sign in header), ",")
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    try:
        names = [name.strip().lower() for name in next(reader, [])]
        picture, label = _places(path, names)
        for row in reader:
            if not row:
                continue
            if len(row) != len(names):
                raise LexlipError(
                    f"{path}, line {reader.line_num}: expected {len(names)} fields, as in the header, and found {len(row)}."
                )
            yield reader.line_num, row[picture].strip(), row[label].strip()
    except csv.Error as error:
        raise LexlipError(f"{path}, line {reader.line_num}: this is no row of a table ({error}).") from error


def _places(path: Path, names: list[str]) -> tuple[int, int]:
    picture = next((names.index(name) for name in PICTURE_COLUMNS if name in names), None)
    if picture is None or LABEL_COLUMN not in names:
        raise LexlipError(f"{path}, line 1: expected a CSV or TSV header with {_EXPECTED}, or JSON lines.")
    return picture, names.index(LABEL_COLUMN)


def _from_json_lines(path: Path, lines: list[str]) -> Iterator[tuple[int, str, str]]:
    for number, item in json_lines(path, lines):
        fields = {str(name).lower(): value for name, value in item.items()} if isinstance(item, dict) else {}
        picture = next((fields[name] for name in PICTURE_COLUMNS if name in fields), None)
        label = fields.get(LABEL_COLUMN)
        if not isinstance(picture, str) or not isinstance(label, str):
            raise LexlipError(f"{path}, line {number}: expected an object with {_EXPECTED}, both texts.")
        yield number, picture.strip(), label.strip()
