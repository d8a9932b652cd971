"""The pictures of an index that lie on this machine: which file a content hash stands for, and its thumbnail.

What an index says is hostile: a document may name any file. One is looked at only where its real path lies below the root of its
document and below a folder that is allowed, and shown only where its content is what was indexed.
"""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from lexlip_es.engines.protocol import Engine
from lexlip_es.entries import path_bytes
from lexlip_es.images import PictureError
from lexlip_es.thumbnails import Thumbnails

_MOST_ROOTS = 1_000
_COPIES = 20  # files of the same content that are tried, as some may be gone


def known_roots(engine: Engine, index: str) -> list[Path]:
    """The folders of this machine that an index's pictures came from, less `/`, which would be every file."""
    asked = {"size": 0, "aggs": {"roots": {"terms": {"field": "root", "size": _MOST_ROOTS}}}}
    found = engine.search(index, asked)["aggregations"]["roots"]["buckets"]
    folders = (_local_path(bucket["key"]) for bucket in found)
    return [folder for folder in folders if folder.is_absolute() and folder != folder.parent and folder.is_dir()]


def _confined(root: str, path: str, allowed: Sequence[Path]) -> Path | None:
    """The real path of a document's file, or None where that is not below the document's root and below an allowed folder."""
    try:
        folder = _local_path(root).resolve(strict=True)
        file = (folder / _local_path(path)).resolve(strict=True)
    except (OSError, RuntimeError, ValueError):  # gone, a loop of links, a NUL
        return None
    inside = root.startswith("/") and file.is_relative_to(folder) and any(map(file.is_relative_to, allowed))
    return file if inside else None


def _local_path(text: str) -> Path:
    """The path that a document spells."""
    return Path(os.fsdecode(path_bytes(text)))


class Library:
    """Gives thumbnails of an index's pictures."""

    def __init__(self, engine: Engine, index: str, thumbnails: Thumbnails, roots: Iterable[Path]) -> None:
        """roots: the folders below which files may be looked at."""
        self._engine, self._index, self._thumbnails = engine, index, thumbnails
        self._roots = tuple(root.resolve() for root in roots)

    def thumbnail(self, content_hash: str) -> bytes:
        """The thumbnail of the picture with this content; raises `PictureError` where there is none to be had.

        The index is asked each time: what was deleted from it is not shown any more.
        """
        asked = {
            "size": _COPIES,
            "query": {"term": {"content_hash": content_hash}},
            "_source": False,
            "docvalue_fields": ["root", "path"],
            "sort": ["_doc"],
        }
        why = PictureError("The index has no such picture in a folder that may be shown.")
        for hit in self._engine.search(self._index, asked)["hits"]["hits"]:
            said = hit.get("fields", {})
            root, path = (str(said.get(field, [""])[0]) for field in ("root", "path"))
            file = _confined(root, path, self._roots)
            if file is not None:
                try:
                    return self._thumbnails.of(file, content_hash)
                except PictureError as error:
                    why = PictureError(error.reason)  # without the path
        raise why
