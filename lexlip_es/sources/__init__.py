"""Where pictures come from: folders, lists, tables, tar shards, objects behind URLs; and what is said of each."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from lexlip_es.entries import Found, Skipped
from lexlip_es.errors import UsageError


@dataclass(frozen=True)
class Extras:
    """What a source says of a picture."""

    captions: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    meta: Mapping[str, Any] = field(default_factory=dict)
    """Values of declared columns, ready for JSON, by the names in `PictureSource.meta_schema`; missing ones are left out."""


class PictureSource(Protocol):
    """Pictures, listed in an order that never changes."""

    @property
    def root(self) -> str:
        """The absolute path or the URL of what was given, as text (`path_text`), without any secret."""
        ...

    @property
    def complete(self) -> bool:
        """Whether `entries` lists all there is under the root; of a mere list nothing may be concluded from absence."""
        ...

    @property
    def has_extras(self) -> bool:
        """Whether it says anything of pictures; where not, what documents say already stays."""
        ...

    @property
    def meta_schema(self) -> Mapping[str, str]:
        """The declared columns: name -> keyword, text, long, double, date or boolean."""
        ...

    def entries(self) -> Iterator[Found | Skipped]:
        """List the pictures anew; raises `LexlipError` where there is nothing at all, or what lists them breaks down."""
        ...

    def extras(self, found: Found) -> Extras:
        """What is said of a picture that `entries` has listed; raises `PictureError` where that can no longer be read."""
        ...

    def is_there(self) -> bool:
        """Whether the place that was opened is still there, so that what `entries` did not list is gone; asked at the end."""
        ...

    def has_lost(self, relative: bytes) -> bool:
        """Whether a picture is known to be there no more, looked up by its path; False where that cannot be told."""
        ...

    def notes(self) -> list[str]:
        """Sentences for the report, once `entries` has come to its end: captions of no picture, for instance."""
        ...


def open_picture_source(
    where: str,
    *,
    files: Path | None = None,
    captions: Path | None = None,
    paths_below: Path | None = None,
    meta: Sequence[str] = (),
    exclude: Sequence[str] = (),
) -> PictureSource:
    """The source that `where` names, looked at before any server is.

    A URL (`s3://bucket/folder`) is a remote folder; `.tar` files, also by a pattern (`shards/*.tar`, `{00000..00012}.tar`), are
    shards; a `.csv`, `.tsv`, `.jsonl`, `.ndjson`, `.json` or `.parquet` file is a table; anything else is a folder.

    files, captions: for a folder: names, one a line, of the only pictures to take; captions by name.
    paths_below: for a table: the folder that its paths are relative to (default: the table's own).
    meta: for tables and shards: columns to keep, as `name:type`.
    exclude: for folders and shards: patterns of `.gitignore`.
    Raises `UsageError` for what does not go together, `LexlipError` for what is missing or cannot be read.
    """
    if "://" in where:
        _only("a URL", files=files, captions=captions, paths_below=paths_below, meta=meta)
        from lexlip_es.sources.remote import RemoteFolder

        return RemoteFolder(where, exclude=exclude)
    if where.lower().endswith((".tar", ".tar.gz", ".tgz")) and not Path(where).is_dir():
        _only("tar shards", files=files, captions=captions, paths_below=paths_below)
        from lexlip_es.sources.shards import TarShards

        return TarShards(where, meta=meta, exclude=exclude)
    from lexlip_es.sources.table import TABLES, PictureTable

    if Path(where).suffix.lower() in TABLES and not Path(where).is_dir():
        _only("a table", files=files, captions=captions, exclude=exclude)
        return PictureTable(Path(where), images=paths_below, meta=meta)
    _only("a folder", paths_below=paths_below, meta=meta)
    from lexlip_es.sources.folder import PictureFolder

    return PictureFolder(Path(where), files=files, captions=captions, exclude=exclude)


def _only(what: str, **given: object) -> None:
    for name, value in given.items():
        if value:
            raise UsageError(f"{name.replace('_', '-')} does not go with {what}: leave it out.")
