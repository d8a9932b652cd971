"""From a sentence or a picture to ranked hits: encode, prune, ask the engine, read the answer."""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lexlip_es.batches import batched
from lexlip_es.clause_limit import Asked, ClauseLimit
from lexlip_es.dialects import Dialect, QueryForm, dialect_for
from lexlip_es.encoders import Encoder
from lexlip_es.engines.errors import EngineUnreachableError, UnknownIndexError
from lexlip_es.engines.protocol import Engine, JsonObject
from lexlip_es.errors import LexlipError
from lexlip_es.explanations import exact_shares
from lexlip_es.hybrid import text_clauses
from lexlip_es.mappings import IndexMeta
from lexlip_es.names import index_name
from lexlip_es.queries import (
    CAPTION,
    MOST_HITS,
    AskedTerms,
    Filter,
    Hit,
    asked_terms,
    explain_request,
    explained_terms,
    fold,
    group_of,
    hits_request,
    read_hit,
)
from lexlip_es.query_filters import all_of
from lexlip_es.query_pictures import QueryPictures
from lexlip_es.relevance import shown
from lexlip_es.subjects import Subject
from lexlip_es.weights import Row

# "Result window is too large, from + size must be less than or equal to: [10000] but was [10001]"
_WINDOW = re.compile(r"from \+ size must be less than or equal to: \[(\d+)\]")
EXPLAINED_AT_ONCE = 500  # hits whose terms are asked for together
FEW_DUPLICATES = 10
"""Hits asked for beyond k, from the start: mostly enough, so that no second search is needed for k groups."""


@dataclass(frozen=True)
class SearchResult:
    """The hits of one search. `took_ms` is the engine's own time, `total_ms` the whole search's, encoding included.

    `folded` counts the duplicates that were met and not shown, each in its best hit's `duplicates`; `cut` counts those of the k
    best hits that were hidden for their low scores. `notes` say what a person should know, such as terms that the server could
    not take.
    """

    query: str
    index: str
    model: str
    took_ms: int
    total_ms: float
    hits: list[Hit]
    notes: list[str] = field(default_factory=list)
    cut: int = 0

    @property
    def folded(self) -> int:
        """How many duplicates were folded into the hits."""
        return sum(hit.duplicates for hit in self.hits)

    def to_json(self, of_hit: Callable[[Hit], dict[str, Any]] = Hit.to_json) -> dict[str, Any]:
        """The result as design contract 9 gives it, or each hit as `of_hit` does."""
        return {
            "query": self.query,
            "index": self.index,
            "model": self.model,
            "took_ms": self.took_ms,
            "total_ms": round(self.total_ms, 2),
            "hits": list(map(of_hit, self.hits)),
            **({"folded": self.folded} if self.folded else {}),
            **({"cut": self.cut} if self.cut else {}),
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


TRUSTED_SECONDS = 0.25
"""How long what an index says of itself is believed without asking again: less than anybody takes to delete an index and to make
one of the same name with another model, and many searches."""


@dataclass(frozen=True)
class Standing:
    """What stands behind a name, and how to ask it; `at` is the monotonic time when that was asked."""

    meta: IndexMeta
    dialect: Dialect
    at: float


class Searcher:
    """Searches one index with one model; several threads may use one at a time.

    A rebuild that puts another index behind the name is noticed at the next search. An index of the same name, made by another
    model after somebody deleted the first, is noticed by the next search that comes `TRUSTED_SECONDS` after the last look.
    """

    def __init__(
        self,
        engine: Engine,
        encoder: Encoder,
        index: str | None = None,
        form: QueryForm | None = None,
        *,
        local_files: bool = False,
        pictures: QueryPictures | None = None,
    ) -> None:
        """`form` overrides the query that suits the server. local_files: `like:PATH` may read a picture file of this machine, by
        which whoever writes a query learns a little of it. pictures: the process that decodes it, by default one each time.

        Raises `LexlipError` for an unknown or foreign index, `ModelMismatchError` for one made with another model, `UsageError`
        for a form that the server or the index does not have.
        """
        self.engine, self.encoder, self.index, self._form = engine, encoder, index_name(index), form
        self.local_files, self.pictures = local_files, pictures
        self.limit = ClauseLimit()
        self._window = MOST_HITS
        self._seen: Standing | None = None
        self._look()

    def by_text(self, text: str, k: int = 10) -> SearchResult:
        """The k best documents for a sentence; raises `UsageError` for a text without a term to search by."""
        return self.search(Subject.of(self.encoder, text), k)

    def by_picture(self, picture: Path, k: int = 10) -> SearchResult:
        """The k best documents for a picture: its texts in a text index, similar pictures in a picture index."""
        return self.search(Subject.of(self.encoder, picture=picture), k)

    def search(
        self,
        subject: Subject,
        k: int = 10,
        *,
        filter: Filter | None = None,
        all: bool = False,
        hybrid: bool = False,
        min_score: float | None = None,
        cut_off: bool = False,
        details: Sequence[str] = (),
    ) -> SearchResult:
        """The k best documents (that match the filter, a clause of the engine's) for a subject that this model encoded.

        hybrid: captions, tags and file names are asked too, by BM25: see `text_clauses`. A subject without a term or a text gives
        what matches its filters, by path.

        Of pictures that are duplicates of each other the best stands for all, so that these are the k best groups, unless `all`
        are wanted; texts are never folded. Fewer come where not even the 10,000 best hits are of k groups.

        min_score: hide those of them that score less. cut_off: hide pictures with too little of the query's best score, and say
        so in `notes`: see `relevance`. Neither hides what filters alone find, which scores nothing. The engine's own `min_score`
        would leave the same, and would have to score every document. details: which of `DETAILS` and `CAPTION` to tell.

        Raises `ModelMismatchError` where the index was meanwhile rebuilt with another model, `UsageError` where it has no picture
        that the subject shall be like.
        """
        subject = self.with_likes(subject)
        texts = text_clauses(subject.text, subject.phrases) if hybrid else []
        asked, found = self.survive_swap(lambda standing: self._ask(standing, subject, k, filter, all, texts, details))
        terms = asked_terms(found.row, self.encoder.model.lexicon, subject.brought_by)
        text = asked.meta.kind == "text"
        ranked = found.answer["hits"]["hits"]
        chosen = [(hit, 0) for hit in ranked] if all or text else fold(ranked, k)
        kept, notes = len(chosen), found.notes
        if terms or texts:
            scores = [float(hit["_score"]) for hit, _ in chosen]
            # What little of the best score a text may have was not measured.
            kept, why = shown(scores, found.row, min_score=min_score, cut_off=cut_off and not text)
            notes = [*notes, *why]
        captioned = text or CAPTION in details
        hits = [read_hit(hit, terms, with_caption=captioned, details=details, duplicates=others) for hit, others in chosen[:kept]]
        total_ms = 1000 * (time.perf_counter() - subject.started)
        if asked.meta.write_once and terms and not texts and hits and not hits[0].terms:
            hits = self._with_terms(hits, found.row, terms, asked.dialect)
        took_ms = int(found.answer["took"])
        return SearchResult(
            subject.name, self.index, self.encoder.model.identity, took_ms, total_ms, hits, notes, len(chosen) - kept
        )

    def with_likes(self, subject: Subject) -> Subject:
        """The subject with the terms of the pictures that it shall be like, which it then has no more; raises as `search`."""
        if not subject.likes:
            return subject
        from lexlip_es.likes import own_terms

        for path in subject.likes:
            row = own_terms(self.engine, self.index, self.encoder, path, local_files=self.local_files, pictures=self.pictures)
            subject = subject.with_picture(row, path)
        return replace(subject, likes=())

    def _with_terms(self, hits: Sequence[Hit], row: Row, asked: AskedTerms, dialect: Dialect) -> list[Hit]:
        """Hits of an index that keeps no terms in `_source`, with those that the engine says gave the score: one more request."""
        lexicon, terms = self.encoder.model.lexicon, {}
        for some in batched(hits, EXPLAINED_AT_ONCE):
            body, params = explain_request(row, lexicon, [hit.id for hit in some], dialect)
            answer = self.engine.search(self.index, body, **params)
            terms.update({hit["_id"]: explained_terms(hit, exact_shares(hit), asked) for hit in answer["hits"]["hits"]})
        return [replace(hit, terms=terms.get(hit.id, [])) for hit in hits]

    def survive_swap(self, ask: Callable[[Standing], Asked]) -> tuple[Standing, Asked]:
        """What `ask` finds in what stands behind the name, which is given with it, and to `ask`.

        Asked once more where another index came to stand there meanwhile; raises as `search`.
        """
        standing = self.standing()
        try:
            found = ask(standing)
        except EngineUnreachableError:
            raise
        except LexlipError:
            now = self._look()
            if now.meta == standing.meta:
                raise
        else:
            if not _may_be_elsewhere(found.answer, standing) or (now := self._look()).meta == standing.meta:
                return standing, found
        return now, ask(now)

    def standing(self) -> Standing:
        """What stands behind the name, as seen a moment ago, or asked now; raises as `__init__`."""
        seen = self._seen
        return seen if seen is not None and time.monotonic() - seen.at < TRUSTED_SECONDS else self._look()

    def _look(self) -> Standing:
        """Read what the index says of itself; raises as `__init__`."""
        self._seen, at = None, time.monotonic()  # where this raises, the next search asks again
        meta = read_index_meta(self.engine, self.index)
        meta.require_model(self.encoder.model)
        self._seen = seen = Standing(meta, dialect_for(self.engine.server, meta.field_type, self._form), at)
        return seen

    def _ask(
        self,
        standing: Standing,
        subject: Subject,
        k: int,
        filter: Filter | None,
        all: bool,
        texts: Sequence[Filter],
        details: Sequence[str],
    ) -> Asked:
        """What the server answers: k hits, or, of pictures, unless `all` are wanted, as many as have k groups among them."""
        kind, dialect, lexicon = standing.meta.kind, standing.dialect, self.encoder.model.lexicon
        folds = not all and kind == "picture"
        size = max(k, min(k + max(FEW_DUPLICATES, k // 4), self._window)) if folds else k
        filters = [*subject.filters, *([filter] if filter else [])]
        only = all_of(subject.demanded, subject.banned, filters, lexicon, dialect.field_type)
        took = 0

        def send(row: Row) -> JsonObject:
            body, params = hits_request(row, lexicon, size, kind, dialect=dialect, filter=only, texts=texts, details=details)
            return self.engine.search(self.index, body, **params)

        while True:
            try:
                found = self.limit.ask(subject.row, send, only, *texts)
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


def _may_be_elsewhere(answer: JsonObject, standing: Standing) -> bool:
    hits = answer["hits"]["hits"]
    return not hits or any(hit["_index"] != standing.meta.index for hit in hits)
