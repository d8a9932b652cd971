"""A table of pictures: a column names the files, others say what is to be kept of each: captions, tags, typed values.

The picture's column is called as in a captions file, and so is the caption's; `tags` is a list, or text with ; or , between;
any other column is kept where it is declared. Rows of one picture need not stand together: their captions and tags add up, their
typed values must agree. The table is read whole, once, and what it says is kept in memory.
"""

import os
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lexlip_es.captions import DELIMITERS, PICTURE_COLUMNS, picture_name
from lexlip_es.entries import Found, Skipped, path_bytes, path_text
from lexlip_es.errors import LexlipError
from lexlip_es.finding import folder_identity, look_up, open_root
from lexlip_es.rows import (
    after_blank_lines,
    csv_header,
    csv_rows,
    is_object,
    is_text,
    json_items,
    json_lines,
    json_object,
    parquet_rows,
)
from lexlip_es.sources import Extras
from lexlip_es.sources.columns import CAPTION_COLUMNS, TAG_COLUMNS, Misfit, read_extras, read_schema

TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet")
"""What the name of a table ends with, in small letters."""


@dataclass
class _Said:
    """What the rows of one picture say together, or why that cannot be told."""

    extras: Extras
    wrong: str | None = None

    def add(self, other: Extras, where: str) -> None:
        both = self.extras.meta.keys() & other.meta.keys()
        if unlike := next((name for name in both if self.extras.meta[name] != other.meta[name]), None):
            self.wrong = self.wrong or f"{where}, column {unlike}: another row of this picture says something else."
        self.extras = Extras(
            tuple(dict.fromkeys((*self.extras.captions, *other.captions))),
            tuple(dict.fromkeys((*self.extras.tags, *other.tags))),
            {**other.meta, **self.extras.meta},
        )


class PictureTable:
    """See `PictureSource`. A picture that leaves the table has left the source."""

    complete = True
    has_extras = True

    def __init__(self, path: Path, *, images: Path | None = None, meta: Sequence[str] = ()) -> None:
        """Read the table; raises `LexlipError` where it cannot be read or lacks a column, `UsageError` for a bad declaration."""
        self.meta_schema: Mapping[str, str] = read_schema(meta)
        path = Path(os.path.abspath(path))
        self.root = path_text(os.fsencode(path))
        self._folder = open_root(images if images is not None else path.parent)
        self._identity = folder_identity(self._folder)
        self._name = path_text(os.fsencode(path.name))
        self._said: dict[str, _Said] = {}
        self._nameless: list[Skipped] = []
        self._listed_as: dict[bytes, str] = {}  # a file -> its name in the table, where these differ
        seen: set[str] = set()
        for where, row in _rows(path, self.meta_schema):
            seen |= row.keys()
            self._add(where, row)
        missing = [name for name in self.meta_schema if name.lower() not in seen]
        if missing and self._said:
            raise LexlipError(f"{path} has no column {missing[0]}: it has {', '.join(sorted(seen))[:200]}.")
        if not self._said and not self._nameless:
            raise LexlipError(f"{path} names no pictures.")

    def entries(self) -> Iterator[Found | Skipped]:
        """See `PictureSource.entries`."""
        yield from self._nameless
        for name, said in self._said.items():
            met = self._look_up(name)
            if said.wrong is not None:
                its_file_is_there = isinstance(met, Found) or met.hides
                yield Skipped(met.display_path, f"{self._name}, {said.wrong}", hides=its_file_is_there)
            else:
                yield met

    def extras(self, found: Found) -> Extras:
        """See `PictureSource.extras`."""
        name = self._listed_as.get(found.relative)
        return self._said[name if name is not None else found.relative.decode("utf-8", "surrogateescape")].extras

    def is_there(self) -> bool:
        """See `PictureSource.is_there`."""
        return folder_identity(self._folder) == self._identity

    def has_lost(self, relative: bytes) -> bool:
        """See `PictureSource.has_lost`."""
        return False

    def notes(self) -> list[str]:
        """See `PictureSource.notes`."""
        return []

    def _add(self, where: str, row: Mapping[str, object]) -> None:
        named = next((row[name] for name in PICTURE_COLUMNS if name in row), None)
        if not (isinstance(named, str) and is_text(named) and named.strip()):
            # It may be about any picture of the root: none is known to have left the table.
            self._nameless.append(Skipped("", f"{self._name}, {where}: the row names no picture file.", hides=True))
            return
        name = self._below(picture_name(named.strip()))
        try:
            extras, wrong = read_extras(row, self.meta_schema), None
        except Misfit as error:
            extras, wrong = Extras(), f"{where}, {error}"
        if name in self._said:
            self._said[name].add(extras, where)
            self._said[name].wrong = self._said[name].wrong or wrong
        else:
            self._said[name] = _Said(extras, wrong)

    def _below(self, name: str) -> str:
        """A name relative to the folder of pictures, also where the table has a whole path into that folder."""
        folder = str(self._folder).rstrip(os.sep) + os.sep
        return name[len(folder) :] if name.startswith(folder) else name

    def _look_up(self, name: str) -> Found | Skipped:
        """The file by its name as it stands in the table, as `path_text` spells one, or with its marks composed or not."""
        first = look_up(self._folder, name.encode())
        if isinstance(first, Found):
            return first
        others = (path_bytes(name), unicodedata.normalize("NFC", name).encode(), unicodedata.normalize("NFD", name).encode())
        for relative in dict.fromkeys(others):
            met = look_up(self._folder, relative) if relative != name.encode() else first
            if isinstance(met, Found) and met.relative.decode("utf-8", "surrogateescape") not in self._said:
                self._listed_as[met.relative] = name
                return met
        return first


def _rows(path: Path, schema: Mapping[str, str]) -> Iterator[tuple[str, Mapping[str, object]]]:
    """Where each row stands, and its values by the names of their columns, in small letters."""
    kind = path.suffix.lower()
    if kind == ".parquet":
        return _parquet_rows(path, schema)
    blank, first, lines = after_blank_lines(path)
    if kind == ".json":
        return ((f"item {n}", json_object(path, f"item {n}", item)) for n, item in json_items(path, lines, blank))
    if kind in (".jsonl", ".ndjson") or is_object(first):
        return ((f"line {n}", json_object(path, f"line {n}", item)) for n, item in json_lines(path, lines, blank))
    headers = {delimiter: csv_header(first, delimiter) for delimiter in DELIMITERS}
    delimiter = next((delimiter for delimiter, names in headers.items() if set(PICTURE_COLUMNS) & set(names)), None)
    if delimiter is None:
        raise LexlipError(
            f"{path}, line {1 + blank}: expected a CSV or TSV header with a column for the picture's path "
            f"({', '.join(PICTURE_COLUMNS)}); found {first.strip()[:60]!r}."
        )
    names = headers[delimiter]
    rows = csv_rows(path, lines, blank, delimiter)
    return ((f"line {n}", dict(zip(reversed(names), reversed(row), strict=True))) for n, row in rows)


def _parquet_rows(path: Path, schema: Mapping[str, str]) -> Iterator[tuple[str, Mapping[str, object]]]:
    wanted = {*PICTURE_COLUMNS, *CAPTION_COLUMNS, *TAG_COLUMNS, *(name.lower() for name in schema)}
    names: list[str] = []

    def choose(columns: list[str]) -> list[str]:
        chosen = {name.lower(): name for name in reversed(columns) if name.lower() in wanted}
        names.extend(chosen)
        if not set(PICTURE_COLUMNS) & chosen.keys():
            raise LexlipError(
                f"{path} has the columns {', '.join(columns)[:200]}: expected one for the picture's path "
                f"({', '.join(PICTURE_COLUMNS)})."
            )
        return list(chosen.values())

    for number, row in enumerate(parquet_rows(path, choose)):
        yield f"row {number}", dict(zip(names, row, strict=True))
