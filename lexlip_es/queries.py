"""Weights to query bodies, and hits to readable results: pure functions, no client, no I/O (design contract 4)."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

import numpy as np

from lexlip_es.dialects import RANK_FEATURES, Dialect, QueryForm
from lexlip_es.errors import LexlipError, UsageError
from lexlip_es.lexicon import Lexicon
from lexlip_es.weights import Row

Filter = Mapping[str, Any]
"""A clause of the engine's query language that a hit must match, and that gives no score."""
MOST_HITS = 10_000
"""Of one search: `index.max_result_window`, unless somebody changed it."""
_HEAVIEST_TOKEN = 64.0  # of neural_sparse: Lucene's FeatureField.newLinearQuery takes weights in (0, 64]
# Lucene's explanation of a linear feature query, whose value is that term's share of the score.
_EXPLAINED = re.compile(r"Linear function on the \S+ field for the (\S+) feature")


def terms_query(
    row: Row,
    lexicon: Lexicon,
    *,
    form: QueryForm = "rank_feature",
    field: str = "terms",
    named: bool = False,
    filter: Filter | None = None,
) -> dict[str, Any]:
    """The query that scores a document by the sum of weight x stored weight, in the form that the field takes.

    named: name each clause by its term (`_name`), for the forms that have one clause a term. filter: what a hit must match as
    well. Raises `UsageError` for a weight that the form cannot say.
    """
    pairs = [(lexicon.name(term), weight) for term, weight in zip(row[0].tolist(), row[1], strict=True)]
    if form in ("rank_feature", "term"):
        clause = _rank_feature if form == "rank_feature" else _term
        should = [clause(field, name, float(weight), {"_name": name} if named else {}) for name, weight in pairs]
        # Without the minimum, documents without any of the terms would match the filter alone and come back with score 0.
        only = {} if filter is None else {"filter": filter}
        return {"bool": {"should": should, "minimum_should_match": 1, **only}}
    weights = {name: float(weight) for name, weight in pairs}
    query: dict[str, Any]
    if form == "sparse_vector":
        query = {"sparse_vector": {"field": field, "query_vector": weights, "prune": False}}
    elif form == "query_string":
        query = {"query_string": {"query": query_string(row, lexicon, field=field), "default_operator": "or"}}
    else:
        heaviest = max(weights.values(), default=0.0)
        if heaviest > _HEAVIEST_TOKEN:
            raise UsageError(f"neural_sparse takes weights up to 64 and this query has {heaviest:g}: leave out --form.")
        query = {"neural_sparse": {field: {"query_tokens": weights}}}
    return query if filter is None else {"bool": {"must": [query], "filter": filter}}


def _rank_feature(field: str, name: str, weight: float, label: dict[str, str]) -> dict[str, Any]:
    # `linear` makes the score weight x stored weight; without it the engine saturates it.
    return {"rank_feature": {"field": f"{field}.{name}", "boost": weight, "linear": {}, **label}}


def _term(field: str, name: str, weight: float, label: dict[str, str]) -> dict[str, Any]:
    return {"term": {field: {"value": name, "boost": weight, **label}}}


def query_string(row: Row, lexicon: Lexicon, *, field: str = "terms") -> str:
    """The query in Lucene's syntax, as Kibana's search bar takes it: `terms:("dog"^2.1 "beach"^0.8)`.

    Every term is quoted, so that none is an operator or a wildcard; weights are plain decimals that read back as the same
    float32, since `^1e-7` is read as something else.
    """
    said = []
    for term, weight in zip(row[0].tolist(), row[1], strict=True):
        quoted = re.sub(r'(["\\])', r"\\\1", lexicon.name(term))
        said.append(f'"{quoted}"^{np.format_float_positional(np.float32(weight), trim="-")}')
    return f"{field}:({' '.join(said)})"


def fit_clauses(row: Row, limit: int | None, filter: Filter | None = None) -> tuple[Row, int]:
    """The row cut to its heaviest terms so that query and filter have no more clauses than `limit`, and how many were dropped.

    A filter's clauses count too; each value in it is taken for one, and a list of values for one.
    """
    if limit is None:
        return row, 0
    kept = max(1, limit - _leaves(filter or {}))
    return (row[0][:kept], row[1][:kept]), max(0, len(row[0]) - kept)


def _leaves(clause: Any) -> int:
    if isinstance(clause, Mapping):
        return sum(map(_leaves, clause.values()))
    if isinstance(clause, Sequence) and any(isinstance(item, Mapping) for item in clause):
        return sum(map(_leaves, clause))
    return 1


def search_body(
    row: Row,
    lexicon: Lexicon,
    k: int,
    *,
    dialect: Dialect = RANK_FEATURES,
    fields: Sequence[str] | None = None,
    filter: Filter | None = None,
) -> dict[str, Any]:
    """A search request for the k best documents (that match the filter).

    fields: the `_source` fields to return; by default all but `terms`. An empty list returns ids and scores only.
    """
    source: Any = {"excludes": ["terms"]} if fields is None else list(fields) or False
    query = terms_query(row, lexicon, form=dialect.form, filter=filter)
    return {"size": k, "query": query, "track_total_hits": dialect.track_total_hits, "_source": source}


def ranking_body(row: Row, lexicon: Lexicon, k: int, *, dialect: Dialect = RANK_FEATURES) -> dict[str, Any]:
    """A search request for where the k best documents stand, and no more: `fields` of a hit holds `collection` and `path`.

    Read from doc values, since the stored document holds all terms and would have to be unpacked even for its id: several
    times faster for a thousand hits.
    """
    lean = {"_source": False, "stored_fields": "_none_", "docvalue_fields": ["collection", "path"]}
    return search_body(row, lexicon, k, dialect=dialect) | lean


def explain_request(
    row: Row, lexicon: Lexicon, ids: Sequence[str], dialect: Dialect = RANK_FEATURES, *, fields: Sequence[str] = ()
) -> tuple[dict[str, Any], dict[str, Any]]:
    """(body, URL parameters) of a search for these documents alone, whose hits say what each term gave: see `exact_shares`."""
    query = terms_query(row, lexicon, form=dialect.clauses, named=dialect.named_scores, filter={"ids": {"values": list(ids)}})
    body: dict[str, Any] = {"size": len(ids), "query": query, "_source": list(fields) or False}
    if dialect.named_scores:
        return body, {"include_named_queries_score": True}
    return body | {"explain": True}, {}


def exact_shares(hit: Mapping[str, Any]) -> dict[str, float]:
    """Feature name -> the engine's own float32 contribution of that term, of a hit that `explain_request` asked for.

    Their sum in double, rounded to float32, is the hit's `_score`, bit for bit.
    """
    named = hit.get("matched_queries")
    if isinstance(named, Mapping):
        return {str(name): float(score) for name, score in named.items()}
    explained = hit.get("_explanation")
    if not isinstance(explained, Mapping):
        raise LexlipError("the server does not explain its hits: ask it with what explain_request gives.")
    return dict(_explained(explained))


def explained_terms(hit: Mapping[str, Any], row: Row, lexicon: Lexicon) -> "list[TermShare]":
    """The terms of a hit that `explain_request` asked for, with exactly what each gave, largest contribution first.

    The stored weight is read from the hit, or, where its `_source` keeps no terms, from what it gave.
    """
    asked = dict(zip(row[0].tolist(), row[1].tolist(), strict=True))
    stored = (hit.get("_source") or {}).get("terms") or {}
    terms = []
    for name, share in exact_shares(hit).items():
        term, contribution = lexicon.id(name), float(np.float32(share))  # JSON has the shortest digits that mean this float32
        weight = float(stored[name]) if name in stored else _stored_weight(contribution / asked[term])
        terms.append(TermShare(lexicon.word(term), lexicon.pieces[term], asked[term], weight, contribution))
    return sorted(terms, key=lambda share: -share.contribution)


def _stored_weight(about: float) -> float:
    """The weight of 9 significant bits, as engines store them, next to this one."""
    mantissa, exponent = math.frexp(about)
    return math.ldexp(round(mantissa * 512), exponent - 9)


def _explained(node: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    found = _EXPLAINED.match(str(node.get("description", "")))
    if found:
        yield found[1], float(node["value"])
        return
    for detail in node.get("details") or ():
        yield from _explained(detail)


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
    """One ranked document. `caption` is given for text documents.

    `group` is its `duplicate_group`; `duplicates` counts the hits of that group that were folded into this one, the best.
    """

    id: str
    path: str
    score: float
    terms: list[TermShare]
    collection: str = ""
    caption: str | None = None
    group: str | None = None
    duplicates: int = 0

    @property
    def full_path(self) -> str:
        """Where the file lies, if the collection is named by its folder (the default); else the path within it."""
        return f"{self.collection.rstrip('/')}/{self.path}" if self.collection.startswith("/") else self.path

    def to_json(self) -> dict[str, Any]:
        """The hit as design contract 9 gives it."""
        return {key: value for key, value in asdict(self).items() if value is not None}


def group_of(hit: Mapping[str, Any]) -> str:
    """The group of duplicates of a hit of the engine's answer; of one that does not say, itself."""
    return str((hit.get("_source") or {}).get("duplicate_group") or hit["_id"])


def fold(hits: Sequence[Mapping[str, Any]], k: int) -> list[tuple[Mapping[str, Any], int]]:
    """The k best groups of the engine's hits in their order: each group's best hit, and how many others it had."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for hit in hits:
        groups.setdefault(group_of(hit), []).append(hit)
    return [(group[0], len(group) - 1) for group in islice(groups.values(), k)]


def read_hit(hit: Mapping[str, Any], row: Row, lexicon: Lexicon, *, with_caption: bool = False, duplicates: int = 0) -> Hit:
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
        group=source.get("duplicate_group"),
        duplicates=duplicates,
    )
