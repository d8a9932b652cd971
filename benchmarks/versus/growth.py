"""How does latency grow with the collection? A power of its size, fitted to what was measured, and how sure that is.

The exponent is the slope of a least-squares line through (log pictures, log p50). Its spread is the 95 % interval of the slope
when each size's rounds are drawn anew with replacement: what repeating the measurement on this machine would move, not what
another machine or another model would. A fixed cost (HTTP, JSON) hides growth in small collections, so the slope between the two
largest sizes is told as well; it is the one to extrapolate with.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.versus.results import Row

RESAMPLES = 1_000


@dataclass(frozen=True)
class Slope:
    """An exponent and its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f})"


@dataclass(frozen=True)
class Growth:
    """Over all sizes and between the two largest; `pictures` and `ms` are the points, `factor` that of the line over all."""

    pictures: tuple[int, ...]
    ms: tuple[float, ...]
    overall: Slope
    last: Slope
    factor: float

    def line(self, pictures: float) -> float:
        """ms at a size by the line over all."""
        return float(self.factor * pictures**self.overall.value)

    def between(self, pictures: float) -> float:
        """ms at a size: on the segments that join the points, and beyond the largest by the last slope."""
        if pictures > self.pictures[-1]:
            return float(self.ms[-1] * (pictures / self.pictures[-1]) ** self.last.value)
        return float(np.exp(np.interp(np.log(pictures), np.log(self.pictures), np.log(self.ms))))


def grow(rounds: Mapping[int, Sequence[float]], seed: int = 0) -> Growth:
    """Fit a way's p50 in ms of each round, by collection size; raises `ValueError` for fewer than two sizes."""
    sizes = sorted(rounds)
    if len(sizes) < 2:
        raise ValueError("growth needs two sizes")
    x = np.log(np.array(sizes, np.float64))
    middle = np.array([np.median(rounds[size]) for size in sizes])  # (S,)
    slope, intercept = np.polyfit(x, np.log(middle), 1)
    random = np.random.default_rng(seed)
    drawn = np.stack(
        [np.median(random.choice(np.asarray(rounds[size]), (RESAMPLES, len(rounds[size]))), axis=1) for size in sizes], axis=1
    )  # (B, S)
    overall = np.polyfit(x, np.log(drawn).T, 1)[0]  # (B,)
    return Growth(
        tuple(sizes),
        tuple(middle.tolist()),
        _slope(slope, overall),
        _slope(_last(x, np.log(middle[None]))[0], _last(x, np.log(drawn))),
        float(np.exp(intercept)),
    )


def growth_of(measured: Sequence[Row]) -> Growth | None:
    """The growth of one way over its sizes, None for one size."""
    rounds = {row.pictures: row.rounds for row in measured}
    return grow(rounds) if len(rounds) > 1 else None


def _last(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    slopes: NDArray[np.float64] = (y[:, -1] - y[:, -2]) / (x[-1] - x[-2])
    return slopes


def _slope(value: float, drawn: NDArray[np.float64]) -> Slope:
    low, high = np.quantile(drawn, (0.025, 0.975))
    return Slope(float(value), float(low), float(high))
