"""From a sentence or a picture to ranked hits: encode, prune, ask the engine, read the answer."""

import os
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lexlip_es.batches import batched
from lexlip_es.dialects import QueryForm, dialect_for
from lexlip_es.encoders import Encoder
from lexlip_es.engines.cluster import CLAUSE_LIMIT
from lexlip_es.engines.errors import EngineUnreachableError, UnknownIndexError
from lexlip_es.engines.protocol import Engine, JsonObject
from lexlip_es.errors import LexlipError, UsageError
from lexlip_es.mappings import IndexMeta
from lexlip_es.names import index_name
from lexlip_es.pixels import Pixels
from lexlip_es.queries import (
    MOST_HITS,
    Filter,
    Hit,
    explain_request,
    explained_terms,
    fit_clauses,
    fold,
    group_of,
    read_hit,
    search_body,
)
from lexlip_es.query_pictures import QueryPictures
from lexlip_es.weights import Row, prepare_documents, prepare_queries

# In the refusals of every version: "maxClauseCount is set to 1024", "... too many nested clauses; maxClauseCount is set to 1024"
_REFUSED = re.compile(r"maxClauseCount is set to (\d+)")
# "Result window is too large, from + size must be less than or equal to: [10000] but was [10001]"
_WINDOW = re.compile(r"from \+ size must be less than or equal to: \[(\d+)\]")
EXPLAINED_AT_ONCE = 500  # hits whose terms are asked for together
FEW_DUPLICATES = 10
"""Hits asked for beyond k, from the start: mostly enough, so that no second search is needed for k groups."""


def query_row(encoder: Encoder, text: str, k: int | None = None) -> Row:
    """A sentence's terms and weights, cut to k (default: the model's number of query terms).

    Raises `UsageError` for an empty text, and for one without any term that the model searches by.
    """
    if not text.strip():
        raise UsageError('the query is empty: say what the picture shows, for example "a dog on a beach".')
    weights = prepare_queries(encoder.encode_texts([text]), k or encoder.model.pruning.query_terms)
    terms, _ = weights.row(0)
    if not len(terms):
        raise UsageError(f'"{text.strip()[:80]}" has no word that this model knows: say what can be seen, in other words.')
    return weights.row(0)


def picture_row(encoder: Encoder, picture: Path, k: int | None = None, pictures: QueryPictures | None = None) -> Row:
    """A picture's terms and weights as a query (default: the model's number of picture terms); `PictureError` if it is none.

    pictures: the process that decodes it, by default one for this picture alone.
    """
    pixels = _pixels(encoder, picture, pictures)
    weights = prepare_queries(encoder.encode_pictures([pixels]), k or encoder.model.pruning.picture_terms)
    if not len(weights.terms):
        raise LexlipError(f"{picture} has no terms under model {encoder.model.name}: try another picture.")
    return weights.row(0)


def _pixels(encoder: Encoder, picture: Path, pictures: QueryPictures | None = None) -> Pixels:
    """A picture, (S, S, 3) RGB, decoded in another process."""
    if pictures is not None:
        return pictures.pixels(picture)
    with QueryPictures(encoder.model.picture_spec) as once:
        return once.pixels(picture)


@dataclass(frozen=True)
class DescribedTerm:
    """A term and its weight, as `lexlip-es terms` shows it."""

    term: str
    piece: str
    weight: float

    def to_json(self) -> dict[str, Any]:
        """The term as JSON."""
        return {"term": self.term, "piece": self.piece, "weight": self.weight}


def describe(encoder: Encoder, subject: str, k: int | None = None) -> list[DescribedTerm]:
    """The terms of a picture file as they would be stored, or of any other text as they would be asked."""
    if os.path.isfile(subject):  # Path's own test raises for a text that is too long for a file name
        pixels = _pixels(encoder, Path(subject))
        row = prepare_documents(encoder.encode_pictures([pixels]), k or encoder.model.pruning.picture_terms).row(0)
    else:
        row = query_row(encoder, subject, k)
    lexicon = encoder.model.lexicon
    return [
        DescribedTerm(lexicon.word(term), lexicon.pieces[term], float(weight))
        for term, weight in zip(row[0].tolist(), row[1], strict=True)
    ]


@dataclass(frozen=True)
class Subject:
    """What is looked for, encoded: `row` = (terms, weights). `started` is when encoding began, for `total_ms`."""

    name: str
    row: Row
    started: float

    @classmethod
    def of(
        cls, encoder: Encoder, text: str | None = None, picture: Path | None = None, *, pictures: QueryPictures | None = None
    ) -> "Subject":
        """Encode a sentence or a picture; raises `UsageError` unless there is one of them, and what `query_row` raises.

        pictures: as for `picture_row`.
        """
        started = time.perf_counter()
        if text is not None and picture is None:
            return cls(text, query_row(encoder, text), started)
        if picture is not None and text is None:
            return cls(str(picture), picture_row(encoder, picture, pictures=pictures), started)
        raise UsageError("search for one thing: give a sentence, or a picture with --image.")


@dataclass(frozen=True)
class SearchResult:
    """The hits of one search. `took_ms` is the engine's own time, `total_ms` the whole search's, encoding included.

    `folded` counts the duplicates that were met and not shown, each in its best hit's `duplicates`. `notes` say what a person
    should know, such as terms that the server could not take.
    """

    query: str
    index: str
    model: str
    took_ms: int
    total_ms: float
    hits: list[Hit]
    notes: list[str] = field(default_factory=list)

    @property
    def folded(self) -> int:
        """How many duplicates were folded into the hits."""
        return sum(hit.duplicates for hit in self.hits)

    def to_json(self) -> dict[str, Any]:
        """The result as design contract 9 gives it."""
        return {
            "query": self.query,
            "index": self.index,
            "model": self.model,
            "took_ms": self.took_ms,
            "total_ms": round(self.total_ms, 2),
            "hits": [hit.to_json() for hit in self.hits],
            **({"folded": self.folded} if self.folded else {}),
            **({"notes": self.notes} if self.notes else {}),
        }


def read_index_meta(engine: Engine, name: str) -> IndexMeta:
    """`_meta.lexlip` of the index behind a name; raises `LexlipError` if there is none, or several, or it is not ours."""
    found = engine.indices(name)
    if not found:
        raise UnknownIndexError(name, "the server")
    if len(found) > 1:
        raise LexlipError(f"{name} stands for {len(found)} indices ({', '.join(sorted(found))}): name one of them with --index.")
    index, body = next(iter(found.items()))
    return IndexMeta.of(index, body["mappings"])


@dataclass(frozen=True)
class Asked:
    """What a server answered, to which row (what was left of the one given), and what a person should know about that."""

    answer: JsonObject
    row: Row
    notes: list[str]


class ClauseLimit:
    """How many clauses a server takes in a query: not known before it refuses one, and remembered from then on.

    The refusal says the number. Settings are not asked: few users may read them, and nearly no query comes near the limit.
    """

    def __init__(self) -> None:
        self._known: int | None = None

    def ask(self, row: Row, send: Callable[[Row], JsonObject], filter: Filter | None = None) -> Asked:
        """What `send` answers to the row, cut to its heaviest terms as far as the server demands it.

        filter: what `send` adds to the query. Raises `LexlipError` where that alone is too much for the server, and what
        `send` raises.
        """
        fitting, _ = fit_clauses(row, self._known, filter)
        while True:
            try:
                answer = send(fitting)
                break
            except LexlipError as error:
                refused = _REFUSED.search(str(error))
                if refused is None:
                    raise
                self._known = int(refused[1])
                asked = len(fitting[0])
                if asked <= 1:
                    raise LexlipError(
                        f"the filter has more clauses than the server takes ({self._known}): shorten it, or raise {CLAUSE_LIMIT}."
                    ) from error
                fitting, _ = fit_clauses(row, self._known, filter)
                if len(fitting[0]) >= asked:  # the filter has more clauses than can be seen, such as a text's many words
                    fitting = row[0][: asked // 2], row[1][: asked // 2]
        dropped = len(row[0]) - len(fitting[0])
        said = (
            f"{dropped} of {len(row[0])} query terms, the lightest, were left out: the server takes no more than {self._known} "
        )
        return Asked(answer, fitting, [f"{said}clauses ({CLAUSE_LIMIT})."] if dropped else [])


class Searcher:
    """Searches one index with one model; a rebuild that puts another index behind the name is noticed at the next search."""

    def __init__(
        self,
        engine: Engine,
        encoder: Encoder,
        index: str | None = None,
        form: QueryForm | None = None,
        *,
        limit: ClauseLimit | None = None,
    ) -> None:
        """`form` overrides the query that suits the server; `limit` is what is known of its limit of clauses already.

        Raises `LexlipError` for an unknown or foreign index, `ModelMismatchError` for one made with another model, `UsageError`
        for a form that the server or the index does not have.
        """
        self.engine, self.encoder, self.index, self._form = engine, encoder, index_name(index), form
        self._limit = limit or ClauseLimit()
        self._window = MOST_HITS
        self._look()

    def by_text(self, text: str, k: int = 10) -> SearchResult:
        """The k best documents for a sentence; raises `UsageError` for a text without a term to search by."""
        return self.search(Subject.of(self.encoder, text), k)

    def by_picture(self, picture: Path, k: int = 10) -> SearchResult:
        """The k best documents for a picture: its texts in a text index, similar pictures in a picture index."""
        return self.search(Subject.of(self.encoder, picture=picture), k)

    def search(self, subject: Subject, k: int = 10, *, filter: Filter | None = None, all: bool = False) -> SearchResult:
        """The k best documents (that match the filter, a clause of the engine's) for a subject that this model encoded.

        Of pictures that are duplicates of each other the best stands for all, so that these are the k best groups, unless `all`
        are wanted; texts are never folded. Fewer come where not even the 10,000 best hits are of k groups.

        Raises `ModelMismatchError` where the index was meanwhile rebuilt with another model.
        """
        folds = not all and self.meta.kind == "picture"
        found = self.survive_swap(lambda: self._ask(subject.row, k, filter, folds))
        lexicon, with_caption = self.encoder.model.lexicon, self.meta.kind == "text"
        ranked = found.answer["hits"]["hits"]
        hits = [
            read_hit(hit, found.row, lexicon, with_caption=with_caption, duplicates=others)
            for hit, others in (fold(ranked, k) if folds else ((hit, 0) for hit in ranked))
        ]
        total_ms = 1000 * (time.perf_counter() - subject.started)
        if self.meta.write_once and hits:
            hits = self._with_terms(hits, found.row)
        took_ms = int(found.answer["took"])
        return SearchResult(subject.name, self.index, self.encoder.model.identity, took_ms, total_ms, hits, found.notes)

    def _with_terms(self, hits: Sequence[Hit], row: Row) -> list[Hit]:
        """Hits of an index that keeps no terms in `_source`, with those that the engine says gave the score: one more request."""
        lexicon, terms = self.encoder.model.lexicon, {}
        for some in batched(hits, EXPLAINED_AT_ONCE):
            body, params = explain_request(row, lexicon, [hit.id for hit in some], self.dialect)
            answer = self.engine.search(self.index, body, **params)
            terms.update({hit["_id"]: explained_terms(hit, row, lexicon) for hit in answer["hits"]["hits"]})
        return [replace(hit, terms=terms.get(hit.id, [])) for hit in hits]

    def survive_swap(self, ask: Callable[[], Asked]) -> Asked:
        """What `ask` finds, asked once more where another index came to stand behind the name meanwhile; raises as `search`."""
        found = None
        try:
            found = ask()
        except EngineUnreachableError:
            raise
        except LexlipError:
            if not self._moved():
                raise
        if found is None or (self._may_be_elsewhere(found.answer) and self._moved()):
            found = ask()
        return found

    def _look(self) -> None:
        """Read what the index says of itself; raises as `__init__`."""
        self.meta = read_index_meta(self.engine, self.index)
        self.meta.require_model(self.encoder.model)
        self.dialect = dialect_for(self.engine.server, self.meta.field_type, self._form)

    def _moved(self) -> bool:
        """Whether another index stands behind the name by now, perhaps of another field; raises where it has another model."""
        asked = self.meta.index
        self._look()
        return self.meta.index != asked

    def _may_be_elsewhere(self, answer: JsonObject) -> bool:
        hits = answer["hits"]["hits"]
        return not hits or any(hit["_index"] != self.meta.index for hit in hits)

    def _ask(self, whole: Row, k: int, filter: Filter | None, folds: bool) -> Asked:
        """What the server answers: k hits, or with `folds` as many as have k groups among them."""
        own = "caption" if self.meta.kind == "text" else "duplicate_group"
        fields: Sequence[str] = ("path", "collection", "terms", own)
        size = max(k, min(k + max(FEW_DUPLICATES, k // 4), self._window)) if folds else k
        took = 0

        def send(row: Row) -> JsonObject:
            body = search_body(row, self.encoder.model.lexicon, size, dialect=self.dialect, fields=fields, filter=filter)
            return self.engine.search(self.index, body)

        while True:
            try:
                found = self._limit.ask(whole, send, filter)
            except LexlipError as error:
                smaller = _WINDOW.search(str(error))
                if smaller is None or size == k:
                    raise
                self._window = int(smaller[1])
                size = max(k, self._window)
                continue
            hits = found.answer["hits"]["hits"]
            took += int(found.answer["took"])
            enough = not folds or len({group_of(hit) for hit in hits}) >= k
            if enough or len(hits) < size or size >= self._window:
                return Asked({**found.answer, "took": took}, found.row, found.notes)
            size = min(4 * size, self._window)
