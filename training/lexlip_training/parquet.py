"""Captions from a Parquet file, row group by row group. pyarrow is imported only here, and only when such a file is read."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lexlip_es.captions import PICTURE_COLUMNS, TEXT_COLUMNS, Captions, picture_name
from lexlip_es.errors import LexlipError


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


def _rows(path: Path) -> Iterator[tuple[Any, Any]]:
    """Picture and text of each row; one row group at a time is in memory, and only of these two columns."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise LexlipError(f"{path} is Parquet, which needs pyarrow: pip install pyarrow, or give the captions as CSV.") from error
    try:
        with parquet.ParquetFile(path) as file:
            names = {name.lower(): name for name in reversed(file.schema_arrow.names)}
            picture = next((names[name] for name in PICTURE_COLUMNS if name in names), None)
            text = next((names[name] for name in ("captions", *TEXT_COLUMNS) if name in names), None)
            if picture is None or text is None:
                raise LexlipError(
                    f"{path} has the columns {', '.join(file.schema_arrow.names)[:200]}: expected one of "
                    f"{', '.join(PICTURE_COLUMNS)} and one of captions, {', '.join(TEXT_COLUMNS)}."
                )
            for batch in file.iter_batches(columns=[picture, text]):
                yield from zip(batch.column(picture).to_pylist(), batch.column(text).to_pylist(), strict=True)
    except FileNotFoundError as error:
        raise LexlipError(f"{path} does not exist.") from error
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise LexlipError(f"{path} cannot be read as Parquet ({str(error).splitlines()[0][:120]}).") from error
