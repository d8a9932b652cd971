"""Weights to query bodies, and hits to readable results: pure functions, no client, no I/O (design contract 4)."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from lexlip_es.lexicon import Lexicon
from lexlip_es.weights import Row


def terms_query(row: Row, lexicon: Lexicon, *, field: str = "terms") -> dict[str, Any]:
    """A bool query of one `rank_feature` clause a term.

    `linear` makes a clause's score weight x stored weight (without it the engine saturates it); `minimum_should_match` keeps
    pictures without any of the terms out, which a filter beside the clauses would otherwise let in with score 0.
    """
    clauses = [
        {"rank_feature": {"field": f"{field}.{lexicon.name(term)}", "boost": float(weight), "linear": {}}}
        for term, weight in zip(row[0].tolist(), row[1], strict=True)
    ]
    return {"bool": {"should": clauses, "minimum_should_match": 1}}


def search_body(row: Row, lexicon: Lexicon, k: int, *, fields: Sequence[str] | None = None) -> dict[str, Any]:
    """A search request for the k best documents.

    fields: the `_source` fields to return; by default all but `terms`. An empty list returns ids and scores only.
    """
    source: Any = {"excludes": ["terms"]} if fields is None else list(fields) or False
    return {"size": k, "query": terms_query(row, lexicon), "track_total_hits": False, "_source": source}


def ranking_body(row: Row, lexicon: Lexicon, k: int) -> dict[str, Any]:
    """A search request for where the k best documents stand, and no more: `fields` of a hit holds `collection` and `path`.

    Read from doc values, since the stored document holds all terms and would have to be unpacked even for its id: several
    times faster for a thousand hits.
    """
    lean = {"_source": False, "stored_fields": "_none_", "docvalue_fields": ["collection", "path"]}
    return search_body(row, lexicon, k) | lean


@dataclass(frozen=True)
class TermShare:
    """What one term gave to a hit's score: contribution = float32(query weight x picture weight)."""

    term: str
    piece: str
    query_weight: float
    picture_weight: float
    contribution: float


def term_shares(row: Row, stored: Mapping[str, float], lexicon: Lexicon) -> list[TermShare]:
    """The terms that query and document share, largest contribution first; the contributions add up to the engine's score."""
    shares = []
    for term, weight in zip(row[0].tolist(), row[1], strict=True):
        other = stored.get(lexicon.name(term))
        if other is not None:
            contribution = float(weight * np.float32(other))
            shares.append(TermShare(lexicon.word(term), lexicon.pieces[term], float(weight), float(other), contribution))
    return sorted(shares, key=lambda share: -share.contribution)


@dataclass(frozen=True)
class Hit:
    """One ranked document. `caption` is given for text documents."""

    id: str
    path: str
    score: float
    terms: list[TermShare]
    collection: str = ""
    caption: str | None = None

    @property
    def full_path(self) -> str:
        """Where the file lies, if the collection is named by its folder (the default); else the path within it."""
        return f"{self.collection.rstrip('/')}/{self.path}" if self.collection.startswith("/") else self.path

    def to_json(self) -> dict[str, Any]:
        """The hit as design contract 9 gives it."""
        return {key: value for key, value in asdict(self).items() if value is not None}


def read_hit(hit: Mapping[str, Any], row: Row, lexicon: Lexicon, *, with_caption: bool = False) -> Hit:
    """A hit of the engine's answer, made readable; a field that the server left out reads as empty."""
    source = hit.get("_source") or {}
    caption = source.get("caption") or []
    text = caption if isinstance(caption, str) else next(iter(caption), None)
    return Hit(
        id=str(hit["_id"]),
        path=str(source.get("path", "")),
        score=float(hit["_score"]),
        terms=term_shares(row, source.get("terms") or {}, lexicon),
        collection=str(source.get("collection", "")),
        caption=text if with_caption else None,
    )
