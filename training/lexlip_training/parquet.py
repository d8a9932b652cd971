"""Captions from a Parquet file, row group by row group."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lexlip_es.captions import PICTURE_COLUMNS, TEXT_COLUMNS, Captions, picture_name
from lexlip_es.errors import LexlipError
from lexlip_es.rows import parquet_rows


def read_parquet_captions(path: Path) -> Captions:
    """Every picture's captions, in the file's order; the columns are those that `lexlip_es.captions` knows in CSV and JSON.

    The text column ("captions" before "caption", "title", "text") holds texts or lists of them. Blank and null captions are left
    out, and so is a picture that has no other. Raises `LexlipError`.
    """
    captions = Captions()
    for row, (picture, said) in enumerate(_rows(path)):
        if not isinstance(picture, str) or not picture.strip():
            raise LexlipError(f"{path}, row {row}: expected the picture's file name as a text, and found {picture!r:.60}.")
        texts = said if isinstance(said, list) else [said]
        if not all(text is None or isinstance(text, str) for text in texts):
            raise LexlipError(f"{path}, row {row}: expected a caption or a list of captions, and found {said!r:.60}.")
        if kept := [text.strip() for text in texts if text and text.strip()]:
            captions.setdefault(picture_name(picture.strip()), []).extend(kept)
    if not captions:
        raise LexlipError(f"{path} holds no captions.")
    return captions


def _rows(path: Path) -> Iterator[tuple[Any, ...]]:
    """Picture and text of each row."""

    def choose(columns: list[str]) -> tuple[str, str]:
        names = {name.lower(): name for name in reversed(columns)}
        picture = next((names[name] for name in PICTURE_COLUMNS if name in names), None)
        text = next((names[name] for name in ("captions", *TEXT_COLUMNS) if name in names), None)
        if picture is None or text is None:
            raise LexlipError(
                f"{path} has the columns {', '.join(columns)[:200]}: expected one of "
                f"{', '.join(PICTURE_COLUMNS)} and one of captions, {', '.join(TEXT_COLUMNS)}."
            )
        return picture, text

    return parquet_rows(path, choose)
