"""Weights to documents: pure functions, no client, no I/O (design contract 2)."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from lexlip_es.entries import Found
from lexlip_es.images import Picture
from lexlip_es.lexicon import Lexicon
from lexlip_es.weights import Row

Document = dict[str, Any]
"""`{"_id": ..., "source": {...}}`, as `Engine.bulk` takes it."""
TOP_TERMS = 16  # readable words for people, tag clouds and filters


def document_id(collection: str, relative: bytes) -> str:
    """The first 32 hex digits of SHA-256(collection + NUL + relative path bytes): the same file is the same document."""
    return hashlib.sha256(collection.encode("utf-8", "surrogateescape") + b"\0" + relative).hexdigest()[:32]


def ancestors(path: str) -> list[str]:
    """Every folder above a relative path, from the top: `a/b/c.jpg` -> `["a", "a/b"]`."""
    parts = path.split("/")[:-1]
    return ["/".join(parts[: depth + 1]) for depth in range(len(parts))]


def features(row: Row, lexicon: Lexicon) -> dict[str, float]:
    """The `terms` field: engine feature name -> truncated weight, heaviest first."""
    terms, weights = row
    return {lexicon.name(term): float(weight) for term, weight in zip(terms.tolist(), weights, strict=True)}


def _term_fields(row: Row, lexicon: Lexicon) -> dict[str, Any]:
    words = dict.fromkeys(lexicon.word(term) for term in row[0].tolist())  # ordered, without repeats
    return {
        "terms": features(row, lexicon),
        "top_terms": list(words)[:TOP_TERMS],
        "n_terms": len(row[0]),
    }


def picture_document(
    found: Found,
    picture: Picture,
    content_hash: str,
    row: Row,
    lexicon: Lexicon,
    *,
    collection: str,
    captions: Sequence[str] = (),
) -> dict[str, Any]:
    """A picture's document. `row` = (terms, weights), pruned, normalised and truncated by `prepare_documents`."""
    optional = {
        "folder": ancestors(found.display_path),
        "taken_at": picture.taken_at,
        "camera": picture.camera,
        "perceptual_hash": picture.perceptual_hash,
        "caption": list(captions),
    }
    return {
        **_term_fields(row, lexicon),
        "collection": collection,
        "path": found.display_path,
        "file_size": found.size,
        "modified": found.modified,
        "content_hash": content_hash,
        "duplicate_group": content_hash,
        "width": picture.width,
        "height": picture.height,
        **{field: value for field, value in optional.items() if value},
    }


def text_document(key: str, text: str, row: Row, lexicon: Lexicon, *, collection: str) -> dict[str, Any]:
    """A text's document: `path` is its key in the file that it came from, `caption` the text."""
    content_hash = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
    return {
        **_term_fields(row, lexicon),
        "collection": collection,
        "path": key,
        "content_hash": content_hash,
        "duplicate_group": content_hash,
        "caption": [text],
    }


def bulk_action(alias: str, document_id: str) -> dict[str, Mapping[str, Any]]:
    """The action line before a document in bulk NDJSON; refused by the engine unless the alias exists, so that a loader which
    forgot to create the index does not make one in which weights are plain numbers."""
    return {"index": {"_index": alias, "_id": document_id, "require_alias": True}}
