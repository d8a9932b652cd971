"""How good is a ranking: the rank of the right answer, recall at k and the median rank, in both directions.

A tie counts half: rank = 1 + (scores greater than the right one) + (others equal to it) / 2. Counting only the greater ones
would reward a collapsed model that scores everything alike. A candidate that the engine did not return has score 0, as in
memory. Picture to text has several right captions; the best-ranked one counts, so it is measured by hit@k (Success@k in
ir_measures), never called recall: R@k would be the share of the right captions that were found.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lexlip_es.bootstrap import Interval, intervals, median, percent_within, together

Ranks = NDArray[np.float64]
DEPTHS = (1, 5, 10)


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
    """Recall at 1, 5 and 10 in percent and the median rank, where a query has one right answer.

    `queries` queries were asked of `candidates` candidates.
    """

    measure: ClassVar[str] = "R@k"  # as ir_measures names it
    at_1: float
    at_5: float
    at_10: float
    median_rank: float
    queries: int
    candidates: int

    @classmethod
    def of(cls, found: Ranks, candidates: int) -> Self:
        """Summarise ranks (Q,)."""
        if not len(found):
            return cls(0.0, 0.0, 0.0, 0.0, 0, candidates)
        at_1, at_5, at_10 = (round(100 * float(np.mean(found <= k)), 2) for k in DEPTHS)
        return cls(at_1, at_5, at_10, float(np.median(found)), len(found), candidates)

    def to_json(self) -> dict[str, Any]:
        """The fields, and which measure they are."""
        return {"measure": self.measure, **asdict(self)}

    def __str__(self) -> str:
        return f"R@1 {self.at_1:.1f}  R@5 {self.at_5:.1f}  R@10 {self.at_10:.1f}  median rank {self.median_rank:g}"


class Hits(Recall):
    """hit@1, 5 and 10 in percent: the share of queries of which any right answer is that near the top (Success@k)."""

    measure: ClassVar[str] = "Success@k"

    def to_json(self) -> dict[str, Any]:
        """As `Recall.to_json`, the measures named hit_at_k."""
        return self.named(super().to_json())

    @staticmethod
    def named(measures: Mapping[str, Any]) -> dict[str, Any]:
        """The same values, what `Recall` calls at_k called hit_at_k."""
        return {f"hit_{name}" if name.startswith("at_") else name: value for name, value in measures.items()}

    def __str__(self) -> str:
        return f"hit@1 {self.at_1:.1f}  hit@5 {self.at_5:.1f}  hit@10 {self.at_10:.1f}  median rank {self.median_rank:g}"


def recall_intervals(found: Ranks, picture_of: NDArray[np.int64], pictures: int, times: int, seed: int) -> dict[str, Interval]:
    """The 95 % interval of the four measures, over pictures; `picture_of` (Q,) is the picture that each query belongs to."""
    statistic = together(percent_within(found, picture_of, pictures, DEPTHS), median(found, picture_of))
    return dict(zip(("at_1", "at_5", "at_10", "median_rank"), intervals(statistic, pictures, times, seed), strict=True))
