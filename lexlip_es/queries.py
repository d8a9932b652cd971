"""Weights to query bodies, and hits to readable results: pure functions, no client, no I/O (design contract 4)."""

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, islice, repeat
from typing import Any, NamedTuple

import numpy as np

from lexlip_es.dialects import RANK_FEATURES, Dialect, QueryForm
from lexlip_es.errors import UsageError
from lexlip_es.explanations import TEXT, exact_shares
from lexlip_es.lexicon import Lexicon
from lexlip_es.names import Kind
from lexlip_es.weights import Row

Filter = Mapping[str, Any]
"""A clause of the engine's query language that a hit must match, and that gives no score."""
MOST_HITS = 10_000
"""Of one search: `index.max_result_window`, unless somebody changed it."""
DETAILS = ("content_hash", "width", "height", "taken_at", "camera", "tags")
"""What a document says of a picture's file, for those who show it; each of these fields has doc values."""
CAPTION = "caption"
"""A detail without doc values: the stored document has to be unpacked for it, which makes a search some ms slower."""
_HEAVIEST_TOKEN = 64.0  # of neural_sparse: Lucene's FeatureField.newLinearQuery takes weights in (0, 64]


def terms_query(
    row: Row,
    lexicon: Lexicon,
    *,
    form: QueryForm = "rank_feature",
    field: str = "terms",
    named: bool = False,
    filter: Filter | None = None,
    texts: Sequence[Filter] = (),
) -> dict[str, Any]:
    """The query that scores a document by the sum of weight x stored weight, in the form that the field takes.

    named: name each clause by its term (`_name`), for the forms that have one clause a term. filter: what a hit must match as
    well; alone it matches without a score. texts: clauses whose scores are added, for the same forms. Raises `UsageError` for a
    weight that the form cannot say.
    """
    if not len(row[0]) and not texts:
        return {"bool": {"filter": filter or {"match_none": {}}}}
    pairs = [(lexicon.name(term), weight) for term, weight in zip(row[0].tolist(), row[1], strict=True)]
    if form in ("rank_feature", "term"):
        clause = _rank_feature if form == "rank_feature" else _term
        should = [clause(field, name, float(weight), {"_name": name} if named else {}) for name, weight in pairs]
        # Without the minimum, documents without any of the terms would match the filter alone and come back with score 0.
        only = {} if filter is None else {"filter": filter}
        return {"bool": {"should": [*should, *texts], "minimum_should_match": 1, **only}}
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


def search_body(
    row: Row,
    lexicon: Lexicon,
    k: int,
    *,
    dialect: Dialect = RANK_FEATURES,
    fields: Sequence[str] | None = None,
    filter: Filter | None = None,
    named: bool = False,
    texts: Sequence[Filter] = (),
) -> dict[str, Any]:
    """A search request for the k best documents (that match the filter); in the order of their paths where nothing scores.

    fields: the `_source` fields to return; by default all but `terms`. An empty list returns ids and scores only. named, texts:
    as for `terms_query`.
    """
    source: Any = {"excludes": ["terms"]} if fields is None else list(fields) or False
    query = terms_query(row, lexicon, form=dialect.form, filter=filter, named=named, texts=texts)
    body = {"size": k, "query": query, "track_total_hits": dialect.track_total_hits, "_source": source}
    return body if "should" in query.get("bool", {}) or len(row[0]) else body | {"sort": [{"path": "asc"}]}


def hits_request(
    row: Row,
    lexicon: Lexicon,
    k: int,
    kind: Kind,
    *,
    dialect: Dialect = RANK_FEATURES,
    filter: Filter | None = None,
    texts: Sequence[Filter] = (),
    details: Sequence[str] = (),
) -> tuple[dict[str, Any], dict[str, Any]]:
    """(body, URL parameters) of a search whose k best hits `read_hit` makes readable, their terms and these details included.

    Where the server says what each term gave, no picture's stored document is unpacked: that is most of a search's time, since
    it holds all terms. What texts give, the server says alone: there it is asked to name or to explain, whatever the form.
    """
    if texts:
        dialect = replace(dialect, form=dialect.clauses)
    mixed = '"_name":' in json.dumps(filter)  # a filter's names would mix with the terms'
    named = dialect.says_shares and not mixed and (kind == "picture" or bool(texts))
    own = "caption" if kind == "text" else "duplicate_group"
    fields = [] if named and kind == "picture" else ["path", "collection", "terms", own, *details]
    columns = [] if fields else ["path", "collection", "duplicate_group", *(one for one in details if one != CAPTION)]
    fields += [CAPTION] if columns and CAPTION in details else []
    body = search_body(row, lexicon, k, dialect=dialect, fields=fields, filter=filter, named=named, texts=texts)
    if columns:
        body["docvalue_fields"] = columns
    if texts and not named:
        body["explain"] = True
    return body, {"include_named_queries_score": True} if named else {}


def ranking_body(row: Row, lexicon: Lexicon, k: int, *, dialect: Dialect = RANK_FEATURES) -> dict[str, Any]:
    """A search request for where the k best documents stand, and no more: `fields` of a hit holds `collection` and `path`.

    Read from doc values, since the stored document holds all terms and would have to be unpacked even for its id: several
    times faster for a thousand hits.
    """
    lean = {"_source": False, "stored_fields": "_none_", "docvalue_fields": ["collection", "path"]}
    return search_body(row, lexicon, k, dialect=dialect) | lean


def explain_request(
    row: Row,
    lexicon: Lexicon,
    ids: Sequence[str],
    dialect: Dialect = RANK_FEATURES,
    *,
    fields: Sequence[str] = (),
    texts: Sequence[Filter] = (),
) -> tuple[dict[str, Any], dict[str, Any]]:
    """(body, URL parameters) of a search for these documents alone, whose hits say what each term and text gave."""
    these = {"ids": {"values": list(ids)}}
    query = terms_query(row, lexicon, form=dialect.clauses, named=dialect.named_scores, filter=these, texts=texts)
    body: dict[str, Any] = {"size": len(ids), "query": query, "_source": list(fields) or False}
    if dialect.named_scores:
        return body, {"include_named_queries_score": True}
    return body | {"explain": True}, {}


def explained_terms(hit: Mapping[str, Any], given: Mapping[str, float], asked: "AskedTerms") -> "list[TermShare]":
    """The terms of a hit with exactly what each gave (`exact_shares`), largest first.

    The stored weight is read from the hit, or, where its `_source` keeps no terms, from what it gave.
    """
    stored = (hit.get("_source") or {}).get("terms") or {}
    names = [name for name in asked if name in given]
    exact = np.array([given[name] for name in names], np.float32).tolist()  # JSON's digits are the shortest of a float32
    shares = []
    for name, contribution in zip(names, exact, strict=True):
        term = asked[name]
        kept = float(stored[name]) if name in stored else _stored_weight(contribution / term.query_weight)
        shares.append(_share(term, kept, contribution))
    return _largest_first(shares)


def explained_texts(given: Mapping[str, float]) -> "list[TextShare]":
    """What each text field gave (`exact_shares`) to a hit that was asked for with `texts`, largest first."""
    texts = {name: share for name, share in given.items() if name.startswith(TEXT)}
    exact = np.array(list(texts.values()), np.float32).tolist()
    shares = [TextShare(name.removeprefix(TEXT), given) for name, given in zip(texts, exact, strict=True)]
    return sorted(shares, key=lambda share: -share.contribution)


def _stored_weight(about: float) -> float:
    """The weight of 9 significant bits, as engines store them, next to this one."""
    mantissa, exponent = math.frexp(about)
    return math.ldexp(round(mantissa * 512), exponent - 9)


@dataclass(frozen=True)
class TermShare:
    """What one term gave to a hit's score: contribution = float32(query weight x picture weight).

    `brought_by` is the word as typed that won the term for the query: see `AskedTerm`.
    """

    term: str
    piece: str
    query_weight: float
    picture_weight: float
    contribution: float
    brought_by: str = ""


@dataclass(frozen=True)
class TextShare:
    """What the words of a text field gave to a hit's score by BM25, exactly as the engine says it."""

    field: str
    contribution: float


class AskedTerm(NamedTuple):
    """A term of a query: readable word, piece, weight, and what brought it.

    That is a word as typed (`dog`), `whole sentence`, a quoted piece with its quotes, or `like:PATH` for a picture's own term.
    """

    term: str
    piece: str
    query_weight: float
    brought_by: str = ""


AskedTerms = Mapping[str, AskedTerm]
"""The terms of a query by their feature names."""


def asked_terms(row: Row, lexicon: Lexicon, brought_by: Iterable[str] = ()) -> AskedTerms:
    """A query's terms as hits are read by them; made once for all hits of a search. brought_by: in the order of the row."""
    terms = zip(row[0].tolist(), row[1].tolist(), chain(brought_by, repeat("")), strict=False)
    return {lexicon.name(term): AskedTerm(lexicon.word(term), lexicon.pieces[term], weight, by) for term, weight, by in terms}


def _share(asked: AskedTerm, picture_weight: float, contribution: float) -> TermShare:
    return TermShare(asked.term, asked.piece, asked.query_weight, picture_weight, contribution, asked.brought_by)


def term_shares(asked: AskedTerms, stored: Mapping[str, float]) -> list[TermShare]:
    """The terms that query and document share, largest contribution first; the contributions add up to the engine's score."""
    both = [(of_query, stored[name]) for name, of_query in asked.items() if name in stored]
    weights = np.array([of_query.query_weight for of_query, _ in both], np.float32)
    given = (weights * np.array([other for _, other in both], np.float32)).tolist()
    return _largest_first(
        _share(of_query, float(other), contribution) for (of_query, other), contribution in zip(both, given, strict=True)
    )


def _largest_first(shares: Iterable[TermShare]) -> list[TermShare]:
    return sorted(shares, key=lambda share: -share.contribution)


@dataclass(frozen=True)
class Hit:
    """One ranked document. `caption` is given for text documents.

    `group` is its `duplicate_group`; `duplicates` counts the hits of that group that were folded into this one, the best.
    `details` are those of `DETAILS` that were asked for and that the document has.
    `texts` is what BM25 gave, of a hybrid search: float32(sum in double of all contributions, of terms and texts) is the score.
    """

    id: str
    path: str
    score: float
    terms: list[TermShare]
    collection: str = ""
    caption: str | None = None
    group: str | None = None
    duplicates: int = 0
    texts: list[TextShare] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def full_path(self) -> str:
        """Where the file lies, if the collection is named by its folder (the default); else the path within it."""
        return f"{self.collection.rstrip('/')}/{self.path}" if self.collection.startswith("/") else self.path

    def to_json(self) -> dict[str, Any]:
        """The hit as design contract 9 gives it."""
        terms, texts = ([dict(vars(share)) for share in shares] for shares in (self.terms, self.texts))
        said = {**vars(self), "terms": terms, "texts": texts, "details": dict(self.details)}
        empty = {name for name in ("texts", "details") if not said[name]}
        return {name: value for name, value in said.items() if value is not None and name not in empty}


def _said(hit: Mapping[str, Any], field: str) -> Any:
    """A field of a hit of the engine's answer, from its stored document or from its doc values; None where it has none."""
    source = hit.get("_source") or {}
    return source[field] if field in source else next(iter(hit.get("fields", {}).get(field, ())), None)


def group_of(hit: Mapping[str, Any]) -> str:
    """The group of duplicates of a hit of the engine's answer; of one that does not say, itself."""
    return str(_said(hit, "duplicate_group") or hit["_id"])


def fold(hits: Sequence[Mapping[str, Any]], k: int) -> list[tuple[Mapping[str, Any], int]]:
    """The k best groups of the engine's hits in their order: each group's best hit, and how many others it had."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for hit in hits:
        groups.setdefault(group_of(hit), []).append(hit)
    return [(group[0], len(group) - 1) for group in islice(groups.values(), k)]


def _details(hit: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    said = {name: _said(hit, name) for name in names if name != CAPTION}
    if "tags" in said:  # the only one that has several values
        said["tags"] = hit.get("fields", {}).get("tags", said["tags"])
    return {name: value for name, value in said.items() if value is not None}


def read_hit(
    hit: Mapping[str, Any], asked: AskedTerms, *, with_caption: bool = False, details: Sequence[str] = (), duplicates: int = 0
) -> Hit:
    """A hit of the engine's answer, made readable; a field that the server left out reads as empty."""
    caption = _said(hit, "caption") or []
    text = caption if isinstance(caption, str) else next(iter(caption), None)
    exact = isinstance(hit.get("matched_queries"), Mapping) or "_explanation" in hit
    given = exact_shares(hit) if exact else {}
    return Hit(
        id=str(hit["_id"]),
        path=str(_said(hit, "path") or ""),
        score=float(hit["_score"] or 0.0),  # null where hits are sorted by path
        terms=explained_terms(hit, given, asked) if exact else term_shares(asked, _said(hit, "terms") or {}),
        collection=str(_said(hit, "collection") or ""),
        caption=text if with_caption else None,
        group=_said(hit, "duplicate_group"),
        duplicates=duplicates,
        texts=explained_texts(given),
        details=_details(hit, details),
    )
