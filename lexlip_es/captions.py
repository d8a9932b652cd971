"""Reading files of captions, texts and names, whoever wrote them: CSV, TSV, JSONL, a JSON list, one text a line.

A CSV or TSV file starts with a header that names its columns; JSON objects name theirs in each object. The picture is
called image, file, filename, file_name or path; what is said of it caption, title or text (the first of these that is
there), or in JSON captions, a list. Files are UTF-8, with or without a byte order mark. What cannot be read is a
`LexlipError` that names the file and the line, and what was expected there: no row is ever lost in silence.

A picture is named by its path below the folder of pictures. `./a.jpg` and `b/../a.jpg` are read as `a.jpg`, so that one picture
has one name; letters with marks may be composed or not, since file systems differ in that (`Captions.of`).
"""

import csv
import json
import posixpath
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from lexlip_es.entries import path_text
from lexlip_es.errors import LexlipError

PICTURE_COLUMNS = ("image", "file", "filename", "file_name", "path")
TEXT_COLUMNS = ("caption", "title", "text")


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
    return [picture_name(name) for line in _lines(path) if (name := line.strip())]


# -- formats


def _records(path: Path, *, plain_text: bool) -> Iterator[_Record]:
    lines = _lines(path)
    blank = 0
    for first in lines:
        if first.strip():
            break
        blank += 1
    else:
        raise LexlipError(f"{path} is empty.")
    rest = chain([first], lines)
    kind = path.suffix.lower()
    table = _table(first)
    if kind == ".json" or (first.lstrip().startswith("[") and not plain_text):
        return _from_json(path, rest, blank)
    if kind in (".jsonl", ".ndjson") or _is_object(first):
        return _from_json_lines(path, rest, blank)
    named = table is not None and (table.picture is not None or kind in (".csv", ".tsv"))
    if table is not None and named:
        return _from_table(path, rest, blank, table)
    if plain_text and kind not in (".csv", ".tsv"):
        return (_Record(n, f"line {n}", None, [line.strip()]) for n, line in enumerate(rest, 1 + blank))
    columns = f"{_either(PICTURE_COLUMNS)}, and {_either(TEXT_COLUMNS)}"
    raise LexlipError(
        f"{path}, line {1 + blank}: expected a CSV or TSV header with columns for the picture and its caption "
        f"({columns}), or JSON; found {first.strip()[:60]!r}."
    )


class _Table(NamedTuple):
    """The header of a CSV or TSV file: which column is which."""

    delimiter: str
    width: int
    picture: int | None
    text: int


def _table(header: str) -> _Table | None:
    """Find the delimiter that makes a header of a line: one with a text column and, if possible, a picture column."""
    found = []
    for delimiter in "\t,;":
        try:
            names = [name.strip().lower() for name in next(csv.reader([header], delimiter=delimiter))]
        except (csv.Error, StopIteration):
            continue
        picture, text = _first(PICTURE_COLUMNS, names), _first(TEXT_COLUMNS, names)
        if text is not None:
            found.append(_Table(delimiter, len(names), picture, text))
    return max(found, key=lambda table: table.picture is not None, default=None)


def _from_table(path: Path, lines: Iterable[str], before: int, table: _Table) -> Iterator[_Record]:
    reader = csv.reader(lines, delimiter=table.delimiter, strict=True)  # strict: a quote left open is an error
    delimiter = "tab" if table.delimiter == "\t" else f"{table.delimiter!r}"
    last = before
    try:
        for number, row in enumerate(reader):
            at, last = last + 1, before + reader.line_num  # a quoted text may go over several lines
            if number == 0 or not row:
                continue
            if len(row) != table.width:
                raise LexlipError(
                    f"{path}, line {at}: expected {table.width} fields, as in the header, and found {len(row)}; "
                    f"put a text that holds a {delimiter} between double quotes."
                )
            named = None if table.picture is None else row[table.picture].strip()
            if named == "":
                raise LexlipError(f"{path}, line {at}: expected the picture's file name and found nothing.")
            picture = picture_name(named) if named else None
            yield _Record(at, f"line {at}", picture, [row[table.text].strip()])
    except csv.Error as error:
        raise LexlipError(
            f"{path}, line {last + 1}: a double quote is not closed, not doubled within quotes, or the text is longer "
            f"than {csv.field_size_limit():,} characters ({error})."
        ) from error


def _from_json(path: Path, lines: Iterable[str], before: int) -> Iterator[_Record]:
    try:
        items = json.loads("".join(lines))
    except json.JSONDecodeError as error:
        raise LexlipError(f"{path}, line {error.lineno + before}: this is not JSON ({error.msg}).") from error
    except RecursionError as error:
        raise LexlipError(f"{path}: expected a list of JSON objects, and found far deeper nesting.") from error
    if not isinstance(items, list):
        raise LexlipError(f"{path}: expected a JSON list of objects, or one object a line in a file named .jsonl.")
    for number, item in enumerate(items, 1):
        yield _from_object(path, number, f"item {number}", item)


def _from_json_lines(path: Path, lines: Iterable[str], before: int) -> Iterator[_Record]:
    for number, item in json_lines(path, lines, before):
        yield _from_object(path, number, f"line {number}", item)


def json_lines(path: Path, lines: Iterable[str], before: int = 0) -> Iterator[tuple[int, object]]:
    """Line number and value of each line of JSON lines, blank ones left out; `before` lines were read already.

    Raises `LexlipError` for a line that is no JSON.
    """
    for number, line in enumerate(lines, 1 + before):
        if not line.strip():
            continue
        try:
            item = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise LexlipError(f"{path}, line {number}: expected one JSON object a line ({error}).") from error
        yield number, item


def _from_object(path: Path, number: int, where: str, item: object) -> _Record:
    if not isinstance(item, dict):
        raise LexlipError(f"{path}, {where}: expected a JSON object, and found {json.dumps(item)[:60]}.")
    names = {str(name).lower(): value for name, value in item.items()}
    picture = next((names[name] for name in PICTURE_COLUMNS if name in names), None)
    if picture is not None and not (_is_text(picture) and picture.strip()):
        raise LexlipError(f"{path}, {where}: expected the picture's file name as a text, and found {picture!r:.60}.")
    texts = names.get("captions", next((names[name] for name in TEXT_COLUMNS if name in names), None))
    texts = [texts] if isinstance(texts, str) else texts
    if not isinstance(texts, list) or not all(_is_text(text) for text in texts):
        raise LexlipError(f"{path}, {where}: expected captions (a list) or one {_either(TEXT_COLUMNS)}.")
    return _Record(number, where, picture_name(picture.strip()) if picture else None, [text.strip() for text in texts])


# -- small things


def picture_name(spelled: str) -> str:
    """A picture's one name, without detours.

    >>> picture_name("./sub//dog.jpg")
    'sub/dog.jpg'
    """
    return posixpath.normpath(spelled)


def _lines(path: Path) -> Iterator[str]:
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


def _is_object(line: str) -> bool:
    """Tell whether a line is a JSON object, or starts a broken one (`{"` starts no caption that anybody wrote)."""
    return line.lstrip().startswith("{") and line.lstrip("{ \t").startswith('"')


def _is_text(value: object) -> bool:
    """Tell whether a value is a text that can be written as UTF-8: JSON can spell half of a surrogate pair."""
    return isinstance(value, str) and not any("\ud800" <= letter <= "\udfff" for letter in value)


def _first(wanted: tuple[str, ...], names: list[str]) -> int | None:
    return next((names.index(name) for name in wanted if name in names), None)


def _either(names: tuple[str, ...]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"
