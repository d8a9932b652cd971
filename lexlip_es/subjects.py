"""What is looked for, encoded: a query or a picture becomes weighted terms, what brought each, and what a hit must be like."""

import os
import re
import time
import unicodedata
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lexlip_es.encoders import Encoder
from lexlip_es.errors import LexlipError, UsageError
from lexlip_es.pixels import Pixels
from lexlip_es.queries import Filter
from lexlip_es.query_language import ParsedQuery, parse
from lexlip_es.query_pictures import QueryPictures
from lexlip_es.weights import Row, SparseWeights, prepare_documents, prepare_queries

WHOLE_SENTENCE = "whole sentence"
"""What brought a term that no word alone did: [CLS] or [SEP] won it."""
_WORD = re.compile(r"\S+")


@dataclass(frozen=True)
class Subject:
    """What is looked for, encoded. `row` = (terms, weights); `started` is when encoding began, for `total_ms`.

    brought_by: for each term of the row, what `AskedTerm.brought_by` says. demanded, banned: the term ids of the pieces of each
    word that a hit must carry, all of them, or must not; filters: clauses of the engine's that a hit must match. text and phrases
    are what BM25 is asked in a hybrid search, no more of a long one than the model reads. likes: pictures whose terms a
    `Searcher` adds. The row may be empty where there is any of these.
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
    likes: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        encoder: Encoder,
        text: str | None = None,
        picture: Path | None = None,
        *,
        literal: bool = False,
        hybrid: bool = False,
        pictures: QueryPictures | None = None,
    ) -> "Subject":
        """Encode a query or a picture; raises `UsageError` unless there is one of them, and for a query of nothing.

        literal: the text is a sentence, whatever signs are in it. hybrid: its words need not be any that the model knows, since
        texts are asked too. pictures: as for `picture_row`.
        """
        started = time.perf_counter()
        if text is not None and picture is None:
            subject = cls._of_query(encoder, text, parse(text, literal), started)
            if not (subject.asks_something or (hybrid and (subject.text or subject.phrases))):
                raise _asks_nothing(text)
            return subject
        if picture is not None and text is None:
            row = picture_row(encoder, picture, pictures=pictures)
            return cls(str(picture), row, started, (like(str(picture)),) * len(row[0]))
        raise UsageError("search for one thing: give a sentence, or a picture with --image.")

    @classmethod
    def _of_query(cls, encoder: Encoder, name: str, asked: ParsedQuery, started: float) -> "Subject":
        pieces = _pieces(encoder, asked.text)
        row, brought_by = _encoded(encoder, asked, pieces)
        return cls(
            name,
            row,
            started,
            brought_by,
            tuple(_terms_of(encoder, word) for word in asked.demanded),
            tuple(_terms_of(encoder, word) for word in asked.banned),
            asked.filters,
            _read(asked.text, pieces),
            tuple(_read(phrase, _pieces(encoder, phrase)) for phrase in asked.phrases),
            asked.likes,
        )

    @property
    def asks_something(self) -> bool:
        """Whether there is a term to search by, now or when a `Searcher` has added pictures, or something to filter by."""
        return bool(len(self.row[0]) or self.demanded or self.banned or self.filters or self.likes)

    def with_picture(self, row: Row, path: str) -> "Subject":
        """This and a picture's own terms, whose weights are scaled to the L2 norm of what is there and added to it."""
        if not len(self.row[0]):
            return replace(self, row=row, brought_by=(like(path),) * len(row[0]))
        scaled = row[1] * np.float32(np.linalg.norm(self.row[1]) / np.linalg.norm(row[1]))
        terms = {
            term: _Won(weight, by) for term, weight, by in zip(self.row[0].tolist(), self.row[1], self.brought_by, strict=True)
        }
        for term, weight in zip(row[0].tolist(), scaled, strict=True):
            had = terms.get(term, _Won(np.float32(0), ""))
            terms[term] = _Won(had.weight + weight, had.brought_by if had.weight > weight else like(path))
        both, brought_by = _heaviest_first(terms)
        return replace(self, row=both, brought_by=brought_by)


def like(path: str) -> str:
    """How a picture's own term says what brought it."""
    return f"like:{path}"


def query_row(encoder: Encoder, sentence: str, k: int | None = None) -> Row:
    """A sentence's terms and weights, cut to k (default: the model's number of query terms); signs in it are no syntax.

    Raises `UsageError` for an empty text, and for one without any term that the model searches by.
    """
    row = _prepared(encoder, sentence, k).row(0)
    if not len(row[0]):
        raise _asks_nothing(sentence)
    return row


def _prepared(encoder: Encoder, sentence: str, k: int | None = None) -> SparseWeights:
    if not sentence.strip():  # of which a tower may say something all the same
        return SparseWeights.from_rows([([], [])], [[]])
    return prepare_queries(encoder.encode_texts([sentence]), k or encoder.model.pruning.query_terms)


def _asks_nothing(text: str) -> UsageError:
    if not text.strip():
        return UsageError('the query is empty: say what the picture shows, for example "a dog on a beach".')
    return UsageError(f'"{text.strip()[:80]}" has no word that this model knows: say what can be seen, in other words.')


def picture_row(encoder: Encoder, picture: Path, k: int | None = None, pictures: QueryPictures | None = None) -> Row:
    """A picture's terms and weights as a query (default: the model's number of picture terms); `PictureError` if it is none.

    pictures: the process that decodes it, by default one for this picture alone.
    """
    pixels = _pixels(encoder, picture, pictures)
    weights = prepare_queries(encoder.encode_pictures([pixels]), k or encoder.model.pruning.picture_terms)
    if not len(weights.terms):
        raise LexlipError(f"{picture} has no terms under model {encoder.model.name}: try another picture.")
    return weights.row(0)


def document_row(encoder: Encoder, picture: Path, k: int | None = None, pictures: QueryPictures | None = None) -> Row:
    """A picture's terms and weights as they would be stored; arguments and errors as of `picture_row`."""
    pixels = _pixels(encoder, picture, pictures)
    return prepare_documents(encoder.encode_pictures([pixels]), k or encoder.model.pruning.picture_terms).row(0)


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
    is_picture = os.path.isfile(subject)  # Path's own test raises for a text that is too long for a file name
    row = document_row(encoder, Path(subject), k) if is_picture else query_row(encoder, subject, k)
    lexicon = encoder.model.lexicon
    return [
        DescribedTerm(lexicon.word(term), lexicon.pieces[term], float(weight))
        for term, weight in zip(row[0].tolist(), row[1], strict=True)
    ]


class _Won(NamedTuple):
    """The weight of a term, and what brought it."""

    weight: np.float32
    brought_by: str


class _Piece(NamedTuple):
    """A token of a text: its term, the word that it is part of, where that begins, and where the token ends.

    [CLS] and [SEP] are of the whole sentence, begin before it, and end at 0.
    """

    term: int
    word: str
    start: int
    end: int


def _pieces(encoder: Encoder, text: str) -> list[_Piece]:
    """The tokens of a text, in the order that origins count. Words are what spaces part, without the punctuation around them."""
    words = list(_WORD.finditer(text))
    starts = [word.start() for word in words]
    pieces = []
    for token in encoder.tokens(text):
        if token.end:
            word = words[bisect_right(starts, token.start) - 1]
            pieces.append(_Piece(token.id, _bare(word[0]), word.start(), token.end))
        else:
            pieces.append(_Piece(token.id, WHOLE_SENTENCE, -1, 0))
    return pieces


def _bare(word: str) -> str:
    """A word without the punctuation around it; what is nothing else stays."""
    if word.isalnum():
        return word
    said = [i for i, sign in enumerate(word) if unicodedata.category(sign)[0] in "LMN"]  # an accent may be a sign of its own
    return word[said[0] : said[-1] + 1] if said else word


def _read(text: str, pieces: Sequence[_Piece]) -> str:
    """As much of a text as the model reads."""
    return text[: max(piece.end for piece in pieces)].strip()


def _said(encoder: Encoder, text: str) -> list[_Piece]:
    """The pieces of a text's words alone: models give pictures no punctuation."""
    lexicon = encoder.model.lexicon
    return [piece for piece in _pieces(encoder, text) if piece.start >= 0 and any(map(str.isalnum, lexicon.pieces[piece.term]))]


def _terms_of(encoder: Encoder, text: str) -> tuple[int, ...]:
    return tuple(piece.term for piece in _said(encoder, text))


def _encoded(encoder: Encoder, asked: ParsedQuery, pieces: Sequence[_Piece]) -> tuple[Row, tuple[str, ...]]:
    """The terms of the sentence, boosted, and of the phrases, by the maximum, as models pool them; and what brought each."""
    weights = _prepared(encoder, asked.text)
    row, origins = weights.row(0), weights.row_origins(0)
    assert origins is not None  # every text encoder gives them
    winners = [pieces[origin] for origin in origins.tolist()]
    if not (asked.boosts or asked.phrases):
        return row, tuple(winner.word for winner in winners)
    factors = dict(asked.boosts)
    terms = {
        term: _Won(np.float32(weight * factors.get(winner.start, 1.0)), winner.word)
        for term, weight, winner in zip(row[0].tolist(), row[1].tolist(), winners, strict=True)
    }
    for phrase in asked.phrases:
        of_phrase = dict(zip(*encoder.encode_texts([phrase]).row(0), strict=True))
        for piece in _said(encoder, phrase):
            if not encoder.model.lexicon.is_special[piece.term]:
                won = _Won(of_phrase.get(np.int32(piece.term), np.float32(1)), f'"{piece.word}"')
                terms[piece.term] = max(terms.get(piece.term, won), won, key=lambda one: one.weight)
    return _heaviest_first(terms)


def _heaviest_first(terms: Mapping[int, _Won]) -> tuple[Row, tuple[str, ...]]:
    row = SparseWeights.from_rows([(list(terms), [won.weight for won in terms.values()])]).row(0)
    return row, tuple(terms[term].brought_by for term in row[0].tolist())
