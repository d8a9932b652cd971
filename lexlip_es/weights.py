"""Batches of sparse lexicon weights, the one currency between encoders, documents, queries, evaluation and benchmarks.

A batch is in CSR: row i holds `terms[indptr[i]:indptr[i + 1]]` with their weights, heaviest first. The engine keeps nine
significant bits of a document's weight (Lucene's FeatureField stores a float's bits shifted right by 15), so documents are
truncated before they are sent, and the score that an engine answers can be computed here exactly:

>>> batch = SparseWeights.from_rows([([7, 3], [0.5, 2.0])])
>>> batch.row(0)
(array([3, 7], dtype=int32), array([2. , 0.5], dtype=float32))
>>> float(truncate(np.float32([1.001]))[0])
1.0
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float32]
Row = tuple[NDArray[np.int32], NDArray[np.float32]]
"""The terms and weights of one sparse vector, heaviest first."""
_DROPPED_BITS = np.uint32(15)
_SMALLEST_NORMAL = np.float32(1.17549435e-38)  # engines refuse a feature below it, and the whole document with it


def truncate(weights: Floats) -> Floats:
    """Cut float32 weights to the nine significant bits that `rank_features` keeps: `(bits >> 15) << 15`, toward zero."""
    bits = np.ascontiguousarray(weights, dtype=np.float32).view(np.uint32)
    return ((bits >> _DROPPED_BITS) << _DROPPED_BITS).view(np.float32)


@dataclass(frozen=True, eq=False)
class SparseWeights:
    """A batch of B sparse vectors over a vocabulary; within a row weights descend and ties ascend by term id.

    `indptr` int64 (B + 1,), `terms` int32 (nnz,), `weights` float32 (nnz,) all > 0 and finite. `origins` int32 (nnz,), where an
    encoder gives it, is the input position that won the maximum (0 = [CLS], the whole sentence).
    """

    indptr: NDArray[np.int64]
    terms: NDArray[np.int32]
    weights: Floats
    origins: NDArray[np.int32] | None = None

    @classmethod
    def from_rows(
        cls, rows: Sequence[tuple[ArrayLike, ArrayLike]], origins: Sequence[ArrayLike] | None = None
    ) -> "SparseWeights":
        """Build from (terms, weights) pairs in any order; weights that are not positive and finite are left out.

        Raises `ValueError` if a row names a term twice.
        """
        counts, all_terms, all_weights, all_origins = [0], [], [], []
        for i, (row_terms, row_weights) in enumerate(rows):
            terms, weights = np.asarray(row_terms, dtype=np.int32), np.asarray(row_weights, dtype=np.float32)
            kept = np.isfinite(weights) & (weights >= _SMALLEST_NORMAL)
            terms, weights = terms[kept], weights[kept]
            if len(set(terms.tolist())) != len(terms):  # np.unique would import numpy.ma: 50 ms of every search
                raise ValueError(f"row {i} names a term twice")
            order = np.lexsort((terms, -weights))
            all_terms.append(terms[order])
            all_weights.append(weights[order])
            if origins is not None:
                all_origins.append(np.asarray(origins[i], dtype=np.int32)[kept][order])
            counts.append(len(terms))
        return cls(
            np.cumsum(counts, dtype=np.int64),
            np.concatenate(all_terms) if all_terms else np.empty(0, np.int32),
            np.concatenate(all_weights) if all_weights else np.empty(0, np.float32),
            (np.concatenate(all_origins) if all_origins else np.empty(0, np.int32)) if origins is not None else None,
        )

    @classmethod
    def from_dense(cls, dense: ArrayLike) -> "SparseWeights":
        """Build from a dense array (B, V)."""
        matrix = np.asarray(dense, dtype=np.float32)  # (B, V)
        return cls.from_rows([(np.flatnonzero(row > 0), row[row > 0]) for row in matrix])

    @classmethod
    def concat(cls, batches: Sequence["SparseWeights"]) -> "SparseWeights":
        """Join batches one after another; origins survive only if every batch has them."""
        if not batches:
            return cls.from_rows([])
        counts = np.concatenate([np.diff(batch.indptr) for batch in batches])
        origins = [batch.origins for batch in batches if batch.origins is not None]
        return cls(
            np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            np.concatenate([batch.terms for batch in batches]),
            np.concatenate([batch.weights for batch in batches]),
            np.concatenate(origins) if len(origins) == len(batches) else None,
        )

    def __len__(self) -> int:
        return len(self.indptr) - 1

    def row(self, i: int) -> Row:
        """The terms and weights of row i, heaviest first."""
        start, end = self.indptr[i], self.indptr[i + 1]
        return self.terms[start:end], self.weights[start:end]

    def part(self, start: int, end: int) -> "SparseWeights":
        """Rows from `start` to before `end`, as views of the same arrays."""
        first, last = self.indptr[start], self.indptr[min(end, len(self))]
        origins = None if self.origins is None else self.origins[first:last]
        return SparseWeights(self.indptr[start : end + 1] - first, self.terms[first:last], self.weights[first:last], origins)

    def row_origins(self, i: int) -> NDArray[np.int32] | None:
        """The winning input positions of row i, in the order of `row(i)`, or None where the encoder gave none."""
        return None if self.origins is None else self.origins[self.indptr[i] : self.indptr[i + 1]]

    @property
    def counts(self) -> NDArray[np.int64]:
        """(B,) number of terms of each row."""
        return np.diff(self.indptr)

    def _row_of_each(self) -> NDArray[np.int64]:
        return np.repeat(np.arange(len(self)), self.counts)  # (nnz,)

    def _kept(self, keep: NDArray[np.bool_], weights: Floats | None = None) -> "SparseWeights":
        counts = np.bincount(self._row_of_each()[keep], minlength=len(self))
        return SparseWeights(
            np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            self.terms[keep],
            (self.weights if weights is None else weights)[keep],
            None if self.origins is None else self.origins[keep],
        )

    def top_k(self, k: int) -> "SparseWeights":
        """Keep the k heaviest terms of each row."""
        rank = np.arange(len(self.terms)) - np.repeat(self.indptr[:-1], self.counts)  # (nnz,) place within the row
        return self._kept(rank < k)

    def normalise(self) -> "SparseWeights":
        """Scale each row to L2 norm 1; an empty row stays empty, never NaN."""
        squares = np.bincount(self._row_of_each(), self.weights.astype(np.float64) ** 2, minlength=len(self))  # (B,)
        norms = np.sqrt(squares)[self._row_of_each()]
        scaled = (self.weights / norms).astype(np.float32)
        return self._kept(scaled >= _SMALLEST_NORMAL, scaled)

    def truncate(self) -> "SparseWeights":
        """Cut every weight to what the engine keeps (`truncate`), and order ties by term id again."""
        weights = truncate(self.weights)
        order = np.lexsort((self.terms, -weights, self._row_of_each()))
        origins = None if self.origins is None else self.origins[order]
        return SparseWeights(self.indptr, self.terms[order], weights[order], origins)

    def to_dense(self, n_terms: int) -> Floats:
        """The batch as a dense array (B, n_terms)."""
        dense = np.zeros((len(self), n_terms), np.float32)
        dense[self._row_of_each(), self.terms] = self.weights
        return dense


def prepare_documents(weights: SparseWeights, k: int) -> SparseWeights:
    """What is stored: the k heaviest terms, then L2 norm 1, then nine significant bits.

    Cutting before normalising ranks slightly better than the other order; not normalising at all costs several points of recall.
    """
    return weights.top_k(k).normalise().truncate()


def prepare_queries(weights: SparseWeights, k: int) -> SparseWeights:
    """What is asked: the k heaviest terms. A query's norm changes no ranking, so its weights stay as the encoder gave them."""
    return weights.top_k(k)


def reference_scores(queries: SparseWeights, documents: SparseWeights) -> Floats:
    """The engine's scores (Q, D), exactly: float32(sum in double of float32(float32(q) x d)), d truncated (design contract 1).

    Measured to hold bit for bit on OpenSearch 2.19 and 3.x `rank_feature` linear; 0 where no term is shared.
    """
    order = np.argsort(documents.terms, kind="stable")
    terms, rows = documents.terms[order], documents._row_of_each()[order]
    weights = truncate(documents.weights)[order]
    scores = np.zeros((len(queries), len(documents)), np.float32)
    for i in range(len(queries)):
        totals = np.zeros(len(documents), np.float64)
        query_terms, query_weights = queries.row(i)
        starts = np.searchsorted(terms, query_terms, "left")
        ends = np.searchsorted(terms, query_terms, "right")
        for weight, start, end in zip(query_weights, starts, ends, strict=True):
            totals[rows[start:end]] += weight * weights[start:end]  # float32 products, summed in double
        scores[i] = totals
    return scores
