"""Why a hit is one: what each typed word gave to its score, in words that people read. Pure functions."""

import re
import unicodedata
from collections.abc import Container, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from lexlip_es.queries import Hit, TermShare

_LONGEST_WORD = 100  # letters; WordPiece takes a longer one for unknown
_PART = re.compile(r"[^\W_]+")


@dataclass(frozen=True)
class ReadableTerm:
    """A term as people read it: one piece, or all pieces of a typed word joined (`skate`, `##board`, `##er`: skateboarder)."""

    term: str
    shares: tuple[TermShare, ...]

    @cached_property
    def contribution(self) -> float:
        """What its pieces gave together."""
        return sum(share.contribution for share in self.shares)


@dataclass(frozen=True)
class Reason:
    """What one typed word gave by all terms that it brought, or what BM25 gave for a text field: `caption (BM25)`, no terms.

    `word` is a term's `brought_by`. Contributions are sums in double; all reasons of a hit together, rounded to float32, are its
    score.
    """

    word: str
    contribution: float
    terms: tuple[ReadableTerm, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The reason as JSON; `pieces` name the terms of the hit that a readable one stands for."""
        terms = [
            {"term": term.term, "contribution": term.contribution, "pieces": [share.piece for share in term.shares]}
            for term in self.terms
        ]
        return {"word": self.word, "contribution": self.contribution, "terms": terms}


def reasons(hit: Hit) -> list[Reason]:
    """What each typed word gave to a hit, heaviest first, and within it its terms, heaviest first."""
    brought: dict[str, list[TermShare]] = {}
    for share in hit.terms:
        brought.setdefault(share.brought_by, []).append(share)
    found = [
        Reason(word, sum(share.contribution for share in shares), tuple(_readable(word, shares)))
        for word, shares in brought.items()
    ]
    found += [Reason(f"{text.field} (BM25)", text.contribution) for text in hit.texts]
    return sorted(found, key=lambda reason: -reason.contribution)


def explained_json(hit: Hit) -> dict[str, Any]:
    """The hit as design contract 9 gives it, with its reasons."""
    return hit.to_json() | {"reasons": [reason.to_json() for reason in reasons(hit)]}


def _readable(word: str, shares: Sequence[TermShare]) -> list[ReadableTerm]:
    """The terms that a word brought, its own pieces joined where all of them are there; a stray piece keeps its `##`."""
    left = {share.piece: share for share in shares}
    terms = []
    parts = _PART.findall(_as_the_model_reads(word)) if any(piece.startswith("##") for piece in left) else ()
    for part in parts:
        pieces = _pieces(part, left)
        if len(pieces) > 1:
            terms.append(ReadableTerm(part, tuple(left.pop(piece) for piece in pieces)))
    terms += [ReadableTerm(piece, (share,)) for piece, share in left.items()]
    return sorted(terms, key=lambda term: -term.contribution)


def _as_the_model_reads(word: str) -> str:
    """In small letters without accents, as BERT's uncased tokenizer has them."""
    return "".join(sign for sign in unicodedata.normalize("NFD", word.lower()) if unicodedata.category(sign) != "Mn")


def _pieces(word: str, there: Container[str]) -> list[str]:
    """The pieces of a word, longest first as WordPiece cuts it; none where one of them is not there.

    >>> _pieces("skateboarder", {"skate", "##board", "##er", "##e"})
    ['skate', '##board', '##er']
    """
    pieces: list[str] = []
    start = 0
    while start < len(word) <= _LONGEST_WORD:
        prefix = "##" if start else ""
        end = next((end for end in range(len(word), start, -1) if prefix + word[start:end] in there), None)
        if end is None:
            return []
        pieces.append(prefix + word[start:end])
        start = end
    return pieces if len(set(pieces)) == len(pieces) else []  # a piece that is needed twice is there once
