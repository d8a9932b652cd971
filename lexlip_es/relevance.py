"""Which hits are too far from the query to be shown: pure functions.

A stored picture has L2 norm 1, so by the terms of a query no picture can score more than the query's own L2 norm. What a hit has
of that is its share of the best score; it does not depend on how heavy or how long a query is, as the score itself does.
"""

from collections.abc import Sequence

import numpy as np

from lexlip_es.weights import Row

LEAST_SHARE = 0.12
"""Of the best score; hits with less are hidden. Chosen on the dev split of Flickr8k with the starter model: it hides 0.5 % of the
right pictures among the ten best of captions, and of the ten best of words that none of them shows 85 %, of such sentences 31 %.
The share of the query's weight that matched, at the same loss, hides 40 % and 18 % (`benchmarks.relevance`)."""


def best_score(row: Row) -> float:
    """The most that a picture could score by a query's terms: their L2 norm."""
    return float(np.linalg.norm(row[1]))


def shown(scores: Sequence[float], row: Row, *, min_score: float | None = None, cut_off: bool = False) -> tuple[int, list[str]]:
    """How many of the hits with these scores, best first, are shown, and a sentence about those that `cut_off` alone hides.

    min_score: hide what scores less. cut_off: hide what has less than `LEAST_SHARE` of the query's best score.
    """
    wanted = sum(score >= (min_score or 0.0) for score in scores)
    least = LEAST_SHARE * best_score(row) if cut_off else 0.0
    kept = sum(score >= least for score in scores[:wanted])
    return kept, [_why_hidden(wanted - kept, wanted, least)] if kept < wanted else []


def _why_hidden(hidden: int, of: int, least: float) -> str:
    return (
        f"{hidden} of the {of} best hits are hidden: they score less than {least:.3f}, {LEAST_SHARE:.0%} of the most that a "
        "picture could score for this query; without the cut-off (--no-cut) they are shown."
    )
