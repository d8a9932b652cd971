"""How much of a side's own exact, unpruned ranking does a way find?

A sparse side's exact ranking is that of all the terms that the encoders gave, pictures with L2 norm 1 and nothing truncated; the
dense side's that of inner products. recall@k is the share of the k best of that ranking that are among the k that a way found;
pictures that share the last place with others count whichever of them was found, and a query that fewer than k pictures match
at all is measured by these. It says nothing of whether the model is right: that is `recall`.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.versus.collection import AT_ONCE, Collection, as_matrix
from benchmarks.versus.system import Side

_SPARE = 4  # times k are kept, so that what shares the last place is among them
_ROUNDING = 1e-6  # of a score: sums of float32 in another order

Ids = NDArray[np.int64]


def exact(collection: Collection, side: Side, queries: Sequence[int], k: int) -> list[Ids]:
    """For each query the pictures of the k best scores, best first: more than k where several share the last place.

    `captions` has no ranking but its engine's own: raises `ValueError`.
    """
    best, ids = np.zeros((len(queries), 0)), np.zeros((len(queries), 0), np.int64)
    for start, scores in _scores(collection, side, queries):  # (Q, B)
        best = np.concatenate([best, scores], axis=1)
        ids = np.concatenate([ids, np.broadcast_to(np.arange(start, start + scores.shape[1]), scores.shape)], axis=1)
        keep = np.argpartition(-best, min(_SPARE * k, best.shape[1]) - 1, axis=1)[:, : _SPARE * k]
        best, ids = np.take_along_axis(best, keep, 1), np.take_along_axis(ids, keep, 1)
    order = np.argsort(-best, axis=1, kind="stable")
    best, ids = np.take_along_axis(best, order, 1), np.take_along_axis(ids, order, 1)
    last = best[:, min(k, best.shape[1]) - 1, None]
    among = best >= last - _ROUNDING * np.abs(last)
    if side != "dense":
        among &= best > 0  # an engine never answers with what matches no term
    return [row[found] for row, found in zip(ids, among, strict=True)]


def recall_at(k: int, answers: Sequence[Ids], ranking: Sequence[Ids]) -> NDArray[np.float64]:
    """(Q,) the share of the exact ranking's first k that each answer has; 1 where nothing is to be found."""
    return np.array(
        [
            min(k, len(np.intersect1d(found[:k], right))) / min(k, len(right)) if len(right) else 1.0
            for found, right in zip(answers, ranking, strict=True)
        ]
    )


def _scores(collection: Collection, side: Side, queries: Sequence[int]) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """The first picture's number and the scores (Q, B) of some pictures at a time."""
    asked = collection.asking(queries)
    if side == "captions":
        raise ValueError("captions are ranked by BM25 in the engine: there is no other exact ranking of them")
    if side == "dense":
        for start in range(0, len(collection), AT_ONCE):
            yield start, (asked.dense_queries @ collection.dense[start : start + AT_ONCE].T).astype(np.float64)
        return
    texts = asked.table_queries if side == "table" else asked.tower_queries
    weights = texts.to_dense(len(collection.lexicon)).T.astype(np.float64)  # (V, Q)
    for start in range(0, len(collection), AT_ONCE):
        pictures = collection.pictures.part(start, start + AT_ONCE).normalise()
        yield start, (as_matrix(pictures, len(collection.lexicon)).astype(np.float64) @ weights).T
