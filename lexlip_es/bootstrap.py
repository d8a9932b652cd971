"""Bootstrap intervals over pictures: how far would a measure move, had other pictures of the same kind been collected?

A picture is drawn with all its captions, since captions of one picture succeed and fail together: drawing captions one by one
would give intervals that are too narrow. A measure is computed from how often each picture was drawn, so nothing is encoded or
ranked again. The intervals are percentile intervals (Efron and Tibshirani 1993, chapter 13).
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]
Values = NDArray[np.float64]
Statistic = Callable[[Counts], Values]
"""From how often each picture was drawn (B, P) to the measures of each resample (B, S)."""
Interval = tuple[float, float]

_DRAWS_AT_ONCE = 1_000_000
_BOUNDS = (0.025, 0.975)


def intervals(statistic: Statistic, pictures: int, times: int, seed: int) -> list[Interval]:
    """The 95 % interval of each of S measures, from `times` resamples of the pictures; the same seed draws the same pictures."""
    draws = np.random.default_rng(seed)
    values = []
    left = times
    while left:
        block = min(left, max(1, _DRAWS_AT_ONCE // pictures))
        drawn = draws.integers(pictures, size=(block, pictures))  # (B, P) places of the pictures drawn
        flat = (drawn + pictures * np.arange(block)[:, None]).ravel()
        counts = np.bincount(flat, minlength=block * pictures).reshape(block, pictures)
        values.append(statistic(counts))
        left -= block
    low, high = np.quantile(np.concatenate(values), _BOUNDS, axis=0)  # (S,) each
    return [(round(float(one), 2), round(float(other), 2)) for one, other in zip(low, high, strict=True)]


def percent_within(ranks: Values, picture_of: Counts, pictures: int, depths: tuple[int, ...]) -> Statistic:
    """For each depth k the percentage of ranks (Q,) that are at most k; `picture_of` (Q,) is the picture a query belongs to."""
    hits = [np.bincount(picture_of, ranks <= depth, minlength=pictures) for depth in depths]
    per_picture = np.stack([*hits, np.bincount(picture_of, minlength=pictures)], axis=1)  # (P, S + 1)

    def statistic(counts: Counts) -> Values:
        sums = counts @ per_picture  # (B, S + 1)
        shares: Values = 100 * sums[:, :-1] / sums[:, -1:]
        return shares

    return statistic


def median(ranks: Values, picture_of: Counts) -> Statistic:
    """The median of the ranks (Q,), of an even number the mean of the middle two, as numpy's."""
    order = np.argsort(ranks, kind="stable")
    ordered, owner = ranks[order], picture_of[order]

    def statistic(counts: Counts) -> Values:
        upto = np.cumsum(counts[:, owner], axis=1)  # (B, Q) ranks drawn up to here
        total = upto[:, -1:]
        lower, upper = (np.argmax(upto > middle, axis=1) for middle in ((total - 1) // 2, total // 2))  # (B,)
        medians: Values = (ordered[lower] + ordered[upper]) / 2  # (B,)
        return medians[:, None]

    return statistic


def together(*statistics: Statistic) -> Statistic:
    """Several statistics of the same resamples, side by side."""
    return lambda counts: np.concatenate([statistic(counts) for statistic in statistics], axis=1)
