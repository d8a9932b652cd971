"""Which hits are too far from the query to be shown: pure functions.

A stored picture has L2 norm 1, so by the terms of a query no picture can score more than the query's own L2 norm. What a hit has
of that is its share of the best score; it does not depend on how heavy or how long a query is, as the score itself does.
"""

import numpy as np

from lexlip_es.weights import Row

LEAST_SHARE = 0.12
"""Of the best score; hits with less are hidden. Chosen on the dev split of Flickr8k with the starter model, where it hides 0.5 %
of the right pictures among the ten best, and 7 of 10 hits for words that no picture of it shows (`benchmarks.relevance`)."""


def best_score(row: Row) -> float:
    """The most that a picture could score by a query's terms: their L2 norm."""
    return float(np.linalg.norm(row[1]))


def least_score(row: Row, *, min_score: float | None = None, cut_off: bool = False) -> float:
    """The score below which hits are hidden: `min_score`, and with `cut_off` at least `LEAST_SHARE` of the best score."""
    return max(min_score or 0.0, LEAST_SHARE * best_score(row) if cut_off else 0.0)


def why_hidden(hidden: int, of: int, least: float) -> str:
    """The sentence that tells a person what `cut_off` hid of the hits that were found."""
    return (
        f"{hidden} of the {of} best hits are hidden: they score less than {least:.3f}, which is {LEAST_SHARE:.0%} of the "
        "most that a picture could score for this query."
    )
