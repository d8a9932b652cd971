"""What is looked for, encoded: a sentence or a picture becomes terms, weights, and who brought each of them."""

import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lexlip_es.encoders import Encoder
from lexlip_es.errors import LexlipError, UsageError
from lexlip_es.pixels import Pixels
from lexlip_es.queries import Filter
from lexlip_es.query_pictures import QueryPictures
from lexlip_es.weights import Row, prepare_documents, prepare_queries


def query_row(encoder: Encoder, text: str, k: int | None = None) -> Row:
    """A sentence's terms and weights, cut to k (default: the model's number of query terms).

    Raises `UsageError` for an empty text, and for one without any term that the model searches by.
    """
    return _sentence(encoder, text, k)[0]


def _sentence(encoder: Encoder, text: str, k: int | None = None) -> tuple[Row, list[str]]:
    """As `query_row`, with what brought each term."""
    if not text.strip():
        raise UsageError('the query is empty: say what the picture shows, for example "a dog on a beach".')
    weights = prepare_queries(encoder.encode_texts([text]), k or encoder.model.pruning.query_terms)
    row, origins = weights.row(0), weights.row_origins(0)
    if not len(row[0]):
        raise UsageError(f'"{text.strip()[:80]}" has no word that this model knows: say what can be seen, in other words.')
    return row, [] if origins is None else brought_by(encoder, text, origins.tolist())


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


WHOLE_SENTENCE = "whole sentence"
"""What brought a term that no word alone did: [CLS] or [SEP] won it."""
_WORD = re.compile(r"\S+")


def brought_by(encoder: Encoder, text: str, origins: Sequence[int]) -> list[str]:
    """The word as typed at each input position that won a term (0 = [CLS]), without the punctuation around it."""
    words = [WHOLE_SENTENCE] * len(text)  # of each character
    for found in _WORD.finditer(text):
        words[found.start() : found.end()] = [_bare(found[0])] * len(found[0])
    spans = encoder.token_spans(text)
    return [words[spans[origin][0]] if spans[origin][1] else WHOLE_SENTENCE for origin in origins]


def _bare(word: str) -> str:
    return re.sub(r"^\W+|\W+$", "", word) or word


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
    """What is looked for, encoded. `row` = (terms, weights); `started` is when encoding began, for `total_ms`.

    brought_by: for each term of the row, what `AskedTerm.brought_by` says. demanded, banned: the term ids of the pieces of each
    word that a hit must carry, all of them, or must not; filters: clauses of the engine's that a hit must match. text and phrases
    are what BM25 is asked, of a hybrid search. The row may be empty where there is a filter or a demand.
    """

    name: str
    row: Row
    started: float
    brought_by: tuple[str, ...] = ()
    demanded: tuple[tuple[int, ...], ...] = ()
    banned: tuple[tuple[int, ...], ...] = ()
    filters: tuple[Filter, ...] = ()
    text: str = ""
    phrases: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, encoder: Encoder, text: str | None = None, picture: Path | None = None, *, pictures: QueryPictures | None = None
    ) -> "Subject":
        """Encode a sentence or a picture; raises `UsageError` unless there is one of them, and what `query_row` raises.

        pictures: as for `picture_row`.
        """
        started = time.perf_counter()
        if text is not None and picture is None:
            row, by = _sentence(encoder, text)
            return cls(text, row, started, tuple(by), text=text)
        if picture is not None and text is None:
            row = picture_row(encoder, picture, pictures=pictures)
            return cls(str(picture), row, started, (f"like:{picture}",) * len(row[0]))
        raise UsageError("search for one thing: give a sentence, or a picture with --image.")
