"""Has a model drifted away from words? Terms that many pictures carry although they say nothing about any of them.

A lexicon model can hide signals in terms that no person would type (`[unused7]`, `.`, `the`): they match everything, make long
posting lists and explain nothing. Such terms are listed with the share of pictures that store them, and beside them the ten terms
that most pictures store, whatever they are.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lexlip_es.lexicon import SPECIAL, Lexicon
from lexlip_es.sparsity import document_shares
from lexlip_es.weights import SparseWeights

HIGH_SHARE = 0.05
"""A term that at least this share of the pictures carries has a high document frequency."""
_MOST = 10

KINDS = ("special", "unused", "stop_word", "one_character")
_ENGLISH = """
    a about above after again against all am an and any are as at be because been before being below between both but by can
    could did do does doing down during each few for from further had has have having he her here hers herself him himself his
    how i if in into is it its itself just me more most my myself no nor not now of off on once only or other our ours ourselves
    out over own same she should so some such than that the their theirs them themselves then there these they this those
    through to too under until up upon very was we were what when where which while who whom why will with would you your yours
    yourself yourselves"""
STOP_WORDS = frozenset(_ENGLISH.split())
SUSPICIOUS_WORDS = "|".join([*map(re.escape, sorted(SPECIAL)), r"\[unused[0-9]+\]", ".", *sorted(STOP_WORDS)])
"""Matches the readable words of terms of `KINDS`: an expression of Python's and of the engines', who take 1,000 signs of one."""


def kind_of(term: int, lexicon: Lexicon) -> str | None:
    """Which of `KINDS` a term is, the first that fits (so `a` is a stop word), or None for a term that may mean something."""
    if lexicon.is_special[term]:
        return "special"
    if lexicon.is_unused[term]:
        return "unused"
    if lexicon.pieces[term] in STOP_WORDS:
        return "stop_word"
    return "one_character" if len(lexicon.word(term)) == 1 else None


@dataclass(frozen=True)
class TermShare:
    """A word piece, and the share of pictures that carry it."""

    term: str
    share: float

    def __str__(self) -> str:
        return f"{self.term} {self.share:.0%}"


@dataclass(frozen=True)
class Drift:
    """Suspicious terms of each kind that at least `high_share` of the pictures carry, and the most carried terms of any kind."""

    suspicious: Mapping[str, list[TermShare]]
    most_carried: list[TermShare]
    high_share: float = HIGH_SHARE

    @classmethod
    def of(cls, pictures: SparseWeights, lexicon: Lexicon, high_share: float = HIGH_SHARE) -> "Drift":
        """Look at stored pictures (P rows, pruned)."""
        shares = document_shares(pictures, len(lexicon))  # (V,)
        falling = np.argsort(-shares, kind="stable")
        carried = [int(term) for term in falling[: np.count_nonzero(shares)]]
        suspicious: dict[str, list[TermShare]] = {kind: [] for kind in KINDS}
        for term in carried:
            if shares[term] < high_share:
                break
            kind = kind_of(term, lexicon)
            if kind:
                suspicious[kind].append(_share(term, lexicon, shares[term]))
        return cls(suspicious, [_share(term, lexicon, shares[term]) for term in carried[:_MOST]], high_share)

    def to_json(self) -> dict[str, Any]:
        """Terms to shares, most carried first."""
        named = {**self.suspicious, "most_carried": self.most_carried}
        return {
            "high_share": self.high_share,
            **{kind: {found.term: found.share for found in terms} for kind, terms in named.items()},
        }


def _share(term: int, lexicon: Lexicon, share: float) -> TermShare:
    return TermShare(lexicon.pieces[term], round(float(share), 4))
