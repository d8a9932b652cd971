"""Does a way find the picture that a caption is of? Only where both sides have encoded real pictures.

R@k is the share of the captions whose picture is among the first k. Positions are as the way answers them; a tie is resolved as
the system does it. Intervals are over pictures (`lexlip_es.bootstrap`).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.versus.agreement import Ids
from benchmarks.versus.collection import Collection
from benchmarks.versus.system import Side, Way
from benchmarks.versus.timing import asking
from lexlip_es.bootstrap import intervals, percent_within
from lexlip_es.evaluation import DEPTHS

MOST = max(DEPTHS)
RESAMPLES = 1_000


def times_only(collection: Collection, side: Side) -> bool:
    """Is nothing said of what this side finds? Random vectors stand for no picture."""
    return side == "dense" and collection.origin == "random"


def is_measured(collection: Collection, side: Side) -> bool:
    """May R@k be told: are all pictures photographs that this side has encoded?"""
    return collection.real == len(collection) and not times_only(collection, side)


def answers_of(way: Way, queries: Sequence[int]) -> list[Ids]:
    """What the way answers to each, untimed."""
    with asking([way]) as (asker,):
        return [asker.ask(query, MOST).ids for query in queries]


def right_pictures(answers: Sequence[Ids], gold: NDArray[np.int64], seed: int) -> dict[str, Any]:
    """R@1, 5 and 10 in percent, each with its 95 % interval, of answers (Q) to captions of the pictures `gold` (Q,)."""
    ranks = np.array([_rank(found, int(right)) for found, right in zip(answers, gold, strict=True)])
    _, owner = np.unique(gold, return_inverse=True)
    pictures = int(owner.max(initial=-1)) + 1
    within = percent_within(ranks, owner, pictures, DEPTHS)
    values = within(np.ones((1, pictures), np.int64))[0]
    bounds = intervals(within, pictures, RESAMPLES, seed)
    measured = {
        f"R@{depth}": {"percent": round(float(value), 2), "low": low, "high": high}
        for depth, value, (low, high) in zip(DEPTHS, values, bounds, strict=True)
    }
    return {"queries": len(answers), **measured}


def _rank(found: Ids, right: int) -> float:
    places = np.flatnonzero(found == right)
    return float(places[0] + 1) if len(places) else np.inf
