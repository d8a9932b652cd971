"""Reading files of captions, texts and names, whoever wrote them: CSV, TSV, JSONL, a JSON list, one text a line.

A CSV or TSV file starts with a header that names its columns; JSON objects name theirs in each object. The picture is
called image, file, filename, file_name or path; what is said of it caption, title or text (the first of these that is
there), or in JSON captions, a list. Files are UTF-8, with or without a byte order mark. What cannot be read is a
`LexlipError` that names the file and the line, and what was expected there: no row is ever lost in silence.

A picture is named by its path below the folder of pictures. `./a.jpg` and `b/../a.jpg` are read as `a.jpg`, so that one picture
has one name; letters with marks may be composed or not, since file systems differ in that (`Captions.of`).
"""

import posixpath
import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from lexlip_es.entries import path_text
from lexlip_es.errors import LexlipError
from lexlip_es.rows import (
    after_blank_lines,
    csv_header,
    csv_rows,
    is_object,
    is_text,
    json_items,
    json_lines,
    json_object,
    read_lines,
    shown,
)

PICTURE_COLUMNS = ("image", "file", "filename", "file_name", "path")
TEXT_COLUMNS = ("caption", "title", "text")
DELIMITERS = "\t,;"


class Text(NamedTuple):
    """One text to index: `key` is its stable name within the file, `picture` the picture that it describes, if any."""

    key: str
    text: str
    picture: str | None


class _Record(NamedTuple):
    """One row or object: where it stands in the file ("line 7"), whose it is, what it says (blank texts included)."""

    number: int
    where: str
    picture: str | None
    texts: list[str]


class Captions(dict[str, list[str]]):
    """Captions by the name of their picture, in the file's order; remembers which pictures `of` was asked for."""

    def __init__(self, captions: Mapping[str, list[str]] | None = None) -> None:
        super().__init__(captions or {})
        self._asked: set[str] = set()
        self._composed: dict[str, str] | None = None

    @property
    def unused(self) -> list[str]:
        """Names of captioned pictures that nobody has asked for yet, in the file's order."""
        return [name for name in self if name not in self._asked]

    def of(self, relative: bytes) -> list[str]:
        """The captions of the picture at this path below the folder of pictures (`Found.relative`); [] where it has none.

        The path counts as named by exactly its text, then by what `path_text` makes of it, then by a name that is the same text
        to a reader: macOS stores `é` as two signs where a captions file holds one (Unicode NFD and NFC).
        """
        name = self._name(relative)
        if name is None:
            return []
        self._asked.add(name)
        return self[name]

    def _name(self, relative: bytes) -> str | None:
        text = relative.decode("utf-8", "surrogateescape")
        for spelled in (text, path_text(relative)):
            if spelled in self:
                return spelled
        if self._composed is None:
            self._composed = {unicodedata.normalize("NFC", name): name for name in reversed(self)}
        return self._composed.get(unicodedata.normalize("NFC", text))


def read_captions(path: Path) -> Captions:
    """Read every picture's captions, in the file's order; rows of one picture need not stand together.

    Blank captions are left out, and so is a picture that has no other. Raises `LexlipError`.
    """
    captions = Captions()
    for record in _records(path, plain_text=False):
        if record.picture is None:
            raise LexlipError(f"{path}, {record.where}: expected the picture's file name ({_either(PICTURE_COLUMNS)}).")
        said = [text for text in record.texts if text]
        if said:
            captions.setdefault(record.picture, []).extend(said)
    if not captions:
        raise LexlipError(f"{path} holds no captions.")
    return captions


def read_texts(path: Path) -> Iterator[Text]:
    """Read texts one after another: every format of captions, with or without pictures, or plain text, one a line.

    The n-th text of a picture, from 0, is called `picture#n`; a text without a picture is called by the number of its
    line (in a JSON list: of its item), from 1. Blank texts are left out and keep their number. Raises `LexlipError`.
    """
    said: dict[str, int] = {}
    for record in _records(path, plain_text=True):
        for position, text in enumerate(record.texts):
            if record.picture is None:
                key = str(record.number) if len(record.texts) == 1 else f"{record.number}#{position}"
            else:
                key = f"{record.picture}#{said.get(record.picture, 0)}"
                said[record.picture] = said.get(record.picture, 0) + 1
            if text:
                yield Text(key, text, record.picture)


def read_names(path: Path) -> list[str]:
    """Read a list of file names, one a line (a data set's split), spelled as captions name them; blank lines are left out.

    Raises `LexlipError`.
    """
    return [picture_name(name) for line in read_lines(path) if (name := line.strip())]


# -- formats


def _records(path: Path, *, plain_text: bool) -> Iterator[_Record]:
    if path.suffix.lower() == ".parquet":
        raise LexlipError(
            f"{path} is Parquet, as only a table of pictures may be: give it to --images, or save it as CSV or JSONL."
        )
    blank, first, lines = after_blank_lines(path)
    kind = path.suffix.lower()
    table = _table(first)
    if kind == ".json" or (first.lstrip().startswith("[") and not plain_text):
        return (_from_object(path, n, f"item {n}", item) for n, item in json_items(path, lines, blank))
    if kind in (".jsonl", ".ndjson") or is_object(first):
        return (_from_object(path, n, f"line {n}", item) for n, item in json_lines(path, lines, blank))
    named = table is not None and (table.picture is not None or kind in (".csv", ".tsv"))
    if table is not None and named:
        return (_from_row(path, n, row, table) for n, row in csv_rows(path, lines, blank, table.delimiter))
    if plain_text and kind not in (".csv", ".tsv"):
        return (_Record(n, f"line {n}", None, [line.strip()]) for n, line in enumerate(lines, 1 + blank))
    columns = f"{_either(PICTURE_COLUMNS)}, and {_either(TEXT_COLUMNS)}"
    raise LexlipError(
        f"{path}, line {1 + blank}: expected a CSV or TSV header with columns for the picture and its caption "
        f"({columns}), or JSON; found {first.strip()[:60]!r}."
    )


class _Table(NamedTuple):
    """The header of a CSV or TSV file: which column is which."""

    delimiter: str
    picture: int | None
    text: int


def _table(header: str) -> _Table | None:
    """Find the delimiter that makes a header of a line: one with a text column and, if possible, a picture column."""
    found = []
    for delimiter in DELIMITERS:
        names = csv_header(header, delimiter)
        picture, text = _first(PICTURE_COLUMNS, names), _first(TEXT_COLUMNS, names)
        if text is not None:
            found.append(_Table(delimiter, picture, text))
    return max(found, key=lambda table: table.picture is not None, default=None)


def _from_row(path: Path, number: int, row: list[str], table: _Table) -> _Record:
    named = None if table.picture is None else row[table.picture].strip()
    if named == "":
        raise LexlipError(f"{path}, line {number}: expected the picture's file name and found nothing.")
    return _Record(number, f"line {number}", picture_name(named) if named else None, [row[table.text].strip()])


def _from_object(path: Path, number: int, where: str, item: object) -> _Record:
    names = json_object(path, where, item)
    picture = next((names[name] for name in PICTURE_COLUMNS if name in names), None)
    if picture is not None and not (is_text(picture) and picture.strip()):
        raise LexlipError(f"{path}, {where}: expected the picture's file name as a text, and found {shown(picture)}.")
    texts = names.get("captions", next((names[name] for name in TEXT_COLUMNS if name in names), None))
    texts = [texts] if isinstance(texts, str) else texts
    if not isinstance(texts, list) or not all(is_text(text) for text in texts):
        raise LexlipError(f"{path}, {where}: expected captions (a list) or one {_either(TEXT_COLUMNS)}.")
    return _Record(number, where, picture_name(picture.strip()) if picture else None, [text.strip() for text in texts])


# -- small things


def picture_name(spelled: str) -> str:
    """A picture's one name, without detours.

    >>> picture_name("./sub//dog.jpg")
    'sub/dog.jpg'
    """
    return posixpath.normpath(spelled)


def _first(wanted: tuple[str, ...], names: list[str]) -> int | None:
    return next((names.index(name) for name in wanted if name in names), None)


def _either(names: tuple[str, ...]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"
