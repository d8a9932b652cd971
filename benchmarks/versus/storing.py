"""Other ways to store the same weights, and what they are tried for: fewer bytes of postings.

Lucene's FeatureField keeps a weight as a term frequency: the float's bits shifted right by 15, that is eight bits of exponent and
eight of mantissa, written in blocks of 256 with as many bits as the block's larger ones need. A weight between 2^-7 and 1 needs
15 bits, since its exponent is near 127. Multiplied by 2^-n it needs fewer, and the query's boost multiplied by 2^n makes the
score what it was, bit for bit: both are exact powers of two. The engine refuses weights below the smallest normal float, 2^-126.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lexlip_es.weights import Row, SparseWeights

SMALLEST_EXPONENT = -126
_LEAF = 16  # pictures that need no more order


@dataclass(frozen=True, eq=False)
class Stored:
    """The weights of each picture as they are stored, times 2^-shift, and in which order the pictures come."""

    name: str
    weights: SparseWeights
    shift: int = 0
    order: Sequence[int] | None = None

    @classmethod
    def small(cls, name: str, weights: SparseWeights, order: Sequence[int] | None = None) -> "Stored":
        """The weights multiplied so that they need the fewest bits."""
        shift = smallest_shift(weights)
        return cls(name, scaled(weights, -shift), shift, order)

    def rows(self) -> Iterator[tuple[int, Row]]:
        """The number of each picture and its row, in their order."""
        return ((i, self.weights.row(i)) for i in (range(len(self.weights)) if self.order is None else self.order))


def _with(weights: SparseWeights, values: NDArray[np.float32]) -> SparseWeights:
    return SparseWeights(weights.indptr, weights.terms, values)


def scaled(weights: SparseWeights, exponent: int) -> SparseWeights:
    """The weights multiplied by 2^exponent: exact, if nothing over- or underflows."""
    return _with(weights, np.ldexp(weights.weights, exponent).astype(np.float32))


def smallest_shift(weights: SparseWeights) -> int:
    """The largest n for which no weight times 2^-n is below the smallest normal float."""
    return int(np.frexp(weights.weights.min())[1]) - 1 - SMALLEST_EXPONENT


def quantised(weights: SparseWeights, bits: int) -> SparseWeights:
    """The weights rounded to so many bits of mantissa after the leading one."""
    mantissa, exponent = np.frexp(weights.weights)
    return _with(weights, np.ldexp(np.rint(np.ldexp(mantissa, bits + 1)), exponent - bits - 1).astype(np.float32))


def raised(weights: SparseWeights, octaves: int) -> SparseWeights:
    """The weights below 2^-octaves raised to it, so that there are only so many exponents."""
    return _with(weights, np.maximum(weights.weights, np.float32(2.0**-octaves)))


def without_light(weights: SparseWeights, share: float, longer: float) -> SparseWeights:
    """Of each term that more than `longer` of the pictures have, only this share of its postings: the heaviest.

    Lists are cut to no less than `longer` of the pictures.
    """
    order = np.lexsort((-weights.weights, weights.terms))
    _, starts, counts = np.unique(weights.terms[order], return_index=True, return_counts=True)
    least = longer * len(weights)
    kept_of = np.where(counts > least, np.maximum(np.ceil(share * counts), least), counts)
    place = np.arange(len(order)) - np.repeat(starts, counts)
    keep = np.zeros(len(order), np.bool_)
    keep[order] = place < np.repeat(kept_of, counts)
    rows = np.repeat(np.arange(len(weights)), weights.counts)
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows[keep], minlength=len(weights)))]).astype(np.int64)
    return SparseWeights(indptr, weights.terms[keep], weights.weights[keep])


def by_heaviest_term(weights: SparseWeights) -> list[int]:
    """The pictures in the order of their heaviest terms, those that are the heaviest of most pictures first."""
    terms = np.append(weights.terms, -1)  # so that the last picture may have none
    heaviest = np.where(weights.counts > 0, terms[weights.indptr[:-1]], -1)
    _, which, counts = np.unique(heaviest, return_inverse=True, return_counts=True)
    order: list[int] = np.lexsort((np.arange(len(weights)), which, -counts[which])).tolist()
    return order


def bisected(vectors: NDArray[np.float32], seed: int = 0) -> list[int]:
    """The pictures so that near ones come together: halved again and again along the direction in which they differ most.

    vectors: (N, D). The direction is that of a few power iterations.
    """
    random = np.random.default_rng(seed)
    parts, ordered = [np.arange(len(vectors))], list[int]()
    while parts:
        part = parts.pop()
        if len(part) <= _LEAF:
            ordered.extend(part.tolist())
            continue
        centred = vectors[part] - vectors[part].mean(0)
        direction = random.standard_normal(vectors.shape[1], np.float32)
        for _ in range(4):
            direction = centred.T @ (centred @ direction)
            direction = direction / max(float(np.linalg.norm(direction)), 1e-30)
        order = part[np.argsort(centred @ direction, kind="stable")]
        parts += [order[len(order) // 2 :], order[: len(order) // 2]]
    return ordered
