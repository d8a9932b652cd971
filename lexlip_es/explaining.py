"""Why a picture scores what it does for a query, whether the index has it or not."""

import os
from pathlib import Path
from typing import Any

from lexlip_es.clause_limit import Asked
from lexlip_es.documents import features
from lexlip_es.engines.protocol import JsonObject
from lexlip_es.errors import LexlipError
from lexlip_es.hybrid import text_clauses
from lexlip_es.images import content_hash
from lexlip_es.likes import named
from lexlip_es.queries import Filter, Hit, asked_terms, explain_request, read_hit, term_shares
from lexlip_es.searching import Searcher, Standing
from lexlip_es.subjects import Subject, document_row
from lexlip_es.weights import Row, SparseWeights, reference_scores

_FIELDS = ("path", "collection", "caption", "terms")


def explain(searcher: Searcher, subject: Subject, picture: str, *, hybrid: bool = False) -> Hit:
    """A picture as a hit of the query, each term with exactly what it gave, heaviest first; filters and cut-offs aside.

    picture: its id, its path in the index, or, where the searcher may read local files, a picture file: the one of the index that
    has the same content, else the file itself, encoded now, whose hit has no id and is scored by `weights.reference_scores`,
    without texts. hybrid: as for `Searcher.search`.

    Raises `LexlipError` where there is no such picture, `PictureError` for a file that is none, and what `search` raises.
    """
    subject = searcher.with_likes(subject)
    file = Path(picture) if searcher.local_files and os.path.isfile(picture) else None
    found = _of_index(searcher, subject, named(picture), hybrid)
    if found is None and file is not None:
        same = {"term": {"content_hash": content_hash(file)}}
        found = _of_index(searcher, subject, same, hybrid) or _of_file(searcher, subject, file)
    if found is None:
        neither = " and there is no such file" if searcher.local_files else ""
        raise LexlipError(
            f"index {searcher.index} has no picture with the id or path {picture[:200]}{neither}: take one of a search's hits."
        )
    return found


def _of_index(searcher: Searcher, subject: Subject, wanted: Filter, hybrid: bool) -> Hit | None:
    """The first picture of the index that is wanted, as the engine explains it; one that shares no term scores 0."""
    texts = text_clauses(subject.text, subject.phrases) if hybrid else []
    lexicon = searcher.encoder.model.lexicon
    body: dict[str, Any] = {"size": 1, "query": wanted, "sort": [{"collection": "asc"}, {"path": "asc"}], "_source": _FIELDS[:3]}

    def ask(standing: Standing) -> Asked:
        def send(row: Row) -> JsonObject:
            request, params = explain_request(row, lexicon, ids, standing.dialect, fields=_FIELDS, texts=texts)
            return searcher.engine.search(searcher.index, request, **params)

        unscored = searcher.engine.search(searcher.index, body)
        ids = [str(hit["_id"]) for hit in unscored["hits"]["hits"]]
        if not ids:
            return Asked(unscored, subject.row, [])
        explained = searcher.limit.ask(subject.row, send, {"ids": {"values": ids}}, *texts)
        return explained if explained.answer["hits"]["hits"] else Asked(unscored, explained.row, [])

    _, found = searcher.survive_swap(ask)
    asked = asked_terms(found.row, lexicon, subject.brought_by)
    return next((read_hit(hit, asked, with_caption=True) for hit in found.answer["hits"]["hits"]), None)


def _of_file(searcher: Searcher, subject: Subject, file: Path) -> Hit:
    encoder = searcher.encoder
    stored = document_row(encoder, file, searcher.standing().meta.meta["pruning"]["terms"], searcher.pictures)
    score = reference_scores(SparseWeights.from_rows([subject.row]), SparseWeights.from_rows([stored]))[0, 0]
    asked = asked_terms(subject.row, encoder.model.lexicon, subject.brought_by)
    return Hit("", str(file), float(score), term_shares(asked, features(stored, encoder.model.lexicon)))
