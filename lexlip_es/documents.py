"""Weights to documents: pure functions, no client, no I/O (design contract 2)."""

import hashlib
import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from lexlip_es.entries import Found
from lexlip_es.images import Picture
from lexlip_es.lexicon import Lexicon
from lexlip_es.sources import Extras
from lexlip_es.weights import Row

Document = dict[str, Any]
"""`{"_id": ..., "source": {...}}`, as `Engine.bulk` takes it."""
SAID = ("caption", "tags", "meta")  # the fields that come from what a source says of a picture
TOP_TERMS = 16  # readable words for people, tag clouds and filters


def document_id(collection: str, relative: bytes) -> str:
    """The first 32 hex digits of SHA-256(collection + NUL + relative path bytes): the same file is the same document."""
    return hashlib.sha256(collection.encode("utf-8", "surrogateescape") + b"\0" + relative).hexdigest()[:32]


def ancestors(path: str) -> list[str]:
    """Every folder above a relative path, from the top: `a/b/c.jpg` -> `["a", "a/b"]`."""
    parts = path.split("/")[:-1]
    return ["/".join(parts[: depth + 1]) for depth in range(len(parts))]


def name_words(path: str) -> str:
    """The words of a file's name, as a search by text takes them: ASCII's signs part them, and digits; no suffix.

    >>> name_words("2024/IMG_0042-red.car@sea.jpeg")
    'IMG 0042 red car sea'
    """
    stem = path.rpartition("/")[2].rpartition(".")[0] or path.rpartition("/")[2]
    return " ".join(re.findall(r"\d+|[^\d\x00-/:-@\[-`{-\x7f]+", unicodedata.normalize("NFC", stem)))


def features(row: Row, lexicon: Lexicon) -> dict[str, float]:
    """The `terms` field: engine feature name -> truncated weight, heaviest first."""
    terms, weights = row
    return {lexicon.name(term): weight for term, weight in zip(terms.tolist(), weights.tolist(), strict=True)}


def _term_fields(row: Row, lexicon: Lexicon) -> dict[str, Any]:
    words = dict.fromkeys(lexicon.word(term) for term in row[0].tolist())  # ordered, without repeats
    return {
        "terms": features(row, lexicon),
        "top_terms": list(words)[:TOP_TERMS],
        "n_terms": len(row[0]),
    }


def said_fields(extras: Extras) -> dict[str, Any]:
    """What a source says of a picture, as fields of its document, without the empty ones."""
    fields = {"caption": list(extras.captions), "tags": list(extras.tags), "meta": dict(extras.meta)}
    return {field: value for field, value in fields.items() if value}


def _place_fields(found: Found, collection: str, root: str) -> dict[str, Any]:
    folders = ancestors(found.display_path)
    return {
        "collection": collection,
        "root": root,
        "path": found.display_path,
        "name": name_words(found.display_path),
        **({"folder": folders} if folders else {}),
        "file_size": found.size,
        "modified": found.modified,
    }


def picture_document(
    found: Found,
    picture: Picture,
    content_hash: str,
    row: Row,
    lexicon: Lexicon,
    *,
    collection: str,
    root: str,
    said: Mapping[str, Any],
) -> dict[str, Any]:
    """A picture's document. `row` = (terms, weights), pruned, normalised and truncated by `prepare_documents`."""
    optional: dict[str, Any] = {
        "taken_at": picture.taken_at,
        "camera": picture.camera,
        "perceptual_hash": picture.perceptual_hash,
    }
    if picture.location is not None:
        optional["location"] = dict(zip(("lat", "lon"), picture.location, strict=True))
    return {
        **_term_fields(row, lexicon),
        **_place_fields(found, collection, root),
        "content_hash": content_hash,
        "duplicate_group": content_hash,
        "width": picture.width,
        "height": picture.height,
        **{field: value for field, value in optional.items() if value},
        **said,
    }


def document_again(
    document: Mapping[str, Any],
    found: Found,
    *,
    collection: str,
    root: str,
    said: Mapping[str, Any] | None,
    with_location: bool = False,
) -> dict[str, Any]:
    """The document of a picture with the same content as another one's, at its own place; said: None keeps what that one says."""
    another = {"collection", "root", "path", "name", "folder", "file_size", "modified"} | (set() if said is None else set(SAID))
    another |= set() if with_location else {"location"}
    kept = {field: value for field, value in document.items() if field not in another}
    return {**kept, **_place_fields(found, collection, root), "duplicate_group": document["content_hash"], **(said or {})}


def text_hash(text: str) -> str:
    """The content hash of a text's document."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def text_document(key: str, text: str, row: Row, lexicon: Lexicon, *, collection: str) -> dict[str, Any]:
    """A text's document: `path` is its key in the file that it came from, `caption` the text."""
    content_hash = text_hash(text)
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
