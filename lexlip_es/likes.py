"""A picture's own terms, as a query asks for them with `like:PATH`."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lexlip_es.encoders import Encoder
from lexlip_es.engines.protocol import Engine
from lexlip_es.errors import LexlipError, UsageError
from lexlip_es.lexicon import Lexicon
from lexlip_es.printable import encodable
from lexlip_es.queries import read_hit
from lexlip_es.query_pictures import QueryPictures
from lexlip_es.subjects import picture_row
from lexlip_es.weights import Row, SparseWeights

_DEEPEST = 64  # folders; each is three clauses of a query


def own_terms(
    engine: Engine, index: str, encoder: Encoder, path: str, *, local_files: bool, pictures: QueryPictures | None = None
) -> Row:
    """The stored terms of a picture of the index, named by its path or its id, else, if `local_files`, those of a picture file.

    A picture of an index that keeps no terms in `_source` is encoded from where it lies, if `local_files`: the index says where.
    pictures: as for `picture_row`.

    Raises `UsageError` where there is no such picture, `LexlipError` where its terms cannot be had.
    """
    body = {"size": 1, "query": named(path), "sort": [{"collection": "asc"}], "_source": ["terms", "path", "collection"]}
    for hit in engine.search(index, body)["hits"]["hits"]:
        row = _stored(hit["_source"].get("terms") or {}, encoder.model.lexicon)
        if len(row[0]):
            return row
        if not local_files:
            raise UsageError(
                f"like:{path[:200]}: index {index} keeps no terms of this picture, and files are not read for queries here: "
                "search by the picture itself."
            )
        file = read_hit(hit, {}).full_path
        if os.path.isfile(file):
            return picture_row(encoder, Path(file), pictures=pictures)
        raise LexlipError(f"index {index} keeps no terms of {file} and the file is not here: search by another picture.")
    if local_files and os.path.isfile(path):
        return picture_row(encoder, Path(path), pictures=pictures)
    neither = " and there is no such file" if local_files else ""
    raise UsageError(
        f"like:{path[:200]}: index {index} has no such picture{neither}: take a path or an id from the hits of a search."
    )


def named(path: str) -> dict[str, Any]:
    """The documents of this id, of this path in their collection, or of the one that is named by a folder and the rest."""
    clean = encodable(path)
    splits = [
        {"bool": {"filter": [{"term": {"collection": folder}}, {"term": {"path": rest}}]}} for folder, rest in _splits(clean)
    ]
    return {"bool": {"should": [{"ids": {"values": [clean]}}, {"term": {"path": clean}}, *splits], "minimum_should_match": 1}}


def _splits(path: str) -> Iterator[tuple[str, str]]:
    """Where the name of an absolute path's collection may end: `/a/b/c.jpg` -> (`/a`, `b/c.jpg`), (`/a/b`, `c.jpg`)."""
    parts = path.split("/")
    if path.startswith("/"):
        for depth in range(2, min(len(parts), _DEEPEST)):
            yield "/".join(parts[:depth]), "/".join(parts[depth:])


def _stored(terms: Mapping[str, Any], lexicon: Lexicon) -> Row:
    """The row of a stored document's terms, without what is no term of the lexicon."""
    weights = {}
    for name, weight in terms.items():
        try:
            weights[lexicon.id(name)] = float(weight)
        except (KeyError, TypeError, ValueError):  # somebody else's document; null is no weight
            continue
    return SparseWeights.from_rows([(list(weights), list(weights.values()))]).row(0)
