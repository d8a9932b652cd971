"""How good is a ranking: the rank of the right answer, recall at k and the median rank, in both directions.

A tie counts half: rank = 1 + (scores greater than the right one) + (others equal to it) / 2. Counting only the greater ones
would reward a collapsed model that scores everything alike. A candidate that the engine did not return has score 0, as in
memory. Picture to text has several right captions; the best-ranked one counts, so its recall is hit@k (Success@k in
ir_measures).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Ranks = NDArray[np.float64]


def rank_of_best(scores: ArrayLike, right: Sequence[int]) -> float:
    """The rank, from 1, of the best of the right candidates among all candidates' scores (N,).

    Other right candidates never count against the best one: a picture's second caption is no mistake.

    >>> rank_of_best([0.9, 0.5, 0.5, 0.1], [1])
    2.5
    """
    values = np.asarray(scores)
    best = values[list(right)].max()
    wrong = np.delete(values, list(right))
    return float(1 + np.count_nonzero(wrong > best) + np.count_nonzero(wrong == best) / 2)


def ranks(scores: ArrayLike, right: Sequence[Sequence[int]]) -> Ranks:
    """`rank_of_best` for each row of scores (Q, N)."""
    return np.array([rank_of_best(row, answers) for row, answers in zip(np.asarray(scores), right, strict=True)])


@dataclass(frozen=True)
class Recall:
    """Recall (hit) at 1, 5 and 10 in percent and the median rank, over `queries` queries and `candidates` candidates."""

    at_1: float
    at_5: float
    at_10: float
    median_rank: float
    queries: int
    candidates: int

    @classmethod
    def of(cls, found: Ranks, candidates: int) -> "Recall":
        """Summarise ranks (Q,)."""
        if not len(found):
            return cls(0.0, 0.0, 0.0, 0.0, 0, candidates)
        at_1, at_5, at_10 = (round(100 * float(np.mean(found <= k)), 2) for k in (1, 5, 10))
        return cls(at_1, at_5, at_10, float(np.median(found)), len(found), candidates)

    def __str__(self) -> str:
        return f"R@1 {self.at_1:.1f}  R@5 {self.at_5:.1f}  R@10 {self.at_10:.1f}  median rank {self.median_rank:g}"
