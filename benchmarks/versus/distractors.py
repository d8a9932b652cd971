"""Made pictures for collections of any size, from the real pictures of a collection: each lies between two that are alike.

A made picture has two parents: any real picture and one of the `NEAR` most like it (of `POOL` that are compared). A share of at
least a half falls to the first. Each term of the vocabulary takes the weight that one of the two gives it, by a coin of that
share, and the weight is jittered a little. So each term comes as often and as heavily as among real pictures, a picture has as
many terms, terms that come together in real pictures stay together, and what both parents show is always kept. The dense vector
is the mean of the same parents' in the same shares, plus a little of the difference of two other pictures, which keeps it where
real ones lie; random ones are drawn anew. Terms that no real picture has do not come. `likeness` measures what this is worth.

Parents are pictures that no query was written for: children of a query's own picture would answer it nearly as well as that, and
fill its best answers as no distractors do. Where nearly every picture is asked for, all are parents all the same (`parents_of`).

A made picture depends on the real ones, the seed and its number alone: a larger collection begins with the smaller one.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.versus.collection import DENSE_DIM, Collection
from benchmarks.versus.dense_encoders import unit
from lexlip_es.weights import SparseWeights

NEAR = 10
POOL = 2_000
COMPARED_TERMS = 64  # the heaviest ones of each, by which pictures are alike
JITTER = 0.05  # standard deviation of the logarithm of what a weight is multiplied by
LEAST_PARENTS = 0.1  # of the real pictures
STRAY = 0.5  # of the difference of two pictures' dense vectors: a made one's nearest is then as near as a real one's
_BLOCK = 1_000  # pictures for which one state of the random generator serves: another number would make other pictures
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)  # bits


def grow(collection: Collection, size: int, seed: int = 0, sources: NDArray[np.int64] | None = None) -> Collection:
    """The collection's real pictures and as many made ones as make `size`; its queries stay.

    sources: which real pictures to make others from (`parents_of` it by default; one that is named twice comes twice as often).
    Raises `ValueError` for fewer pictures than are real.
    """
    real = collection.real
    if size < real:
        raise ValueError(f"{size} pictures are fewer than the {real} real ones")
    dense = np.empty((size, DENSE_DIM), np.float32)
    dense[:real] = collection.dense[:real]
    parts, at = [collection.pictures.part(0, real)], real
    for sparse, vectors in made(collection, size - real, seed, parents_of(collection) if sources is None else sources):
        parts.append(sparse)
        dense[at : at + len(vectors)] = vectors
        at += len(vectors)
    return replace(collection, pictures=SparseWeights.concat(parts), dense=dense)


def parents_of(collection: Collection) -> NDArray[np.int64]:
    """The real pictures that no query was written for, or all if fewer than `LEAST_PARENTS` of them are such."""
    every = np.arange(collection.real)
    unasked = np.setdiff1d(every, collection.gold)
    return unasked if len(unasked) >= LEAST_PARENTS * len(every) else every


def made(
    collection: Collection, count: int, seed: int, sources: NDArray[np.int64]
) -> Iterator[tuple[SparseWeights, NDArray[np.float32]]]:
    """`count` made pictures, some at a time: unpruned terms and dense vectors (B, 512)."""
    if not count:
        return
    parents = _Parents.of(collection, sources, np.random.default_rng([seed, 0]))
    for block, start in enumerate(range(0, count, _BLOCK), 1):
        random = np.random.default_rng([seed, block])
        one = random.choice(parents.drawn, _BLOCK)  # (B,)
        other = parents.near[one, random.integers(0, parents.near.shape[1], _BLOCK)]  # (B,)
        share = np.float32(0.5) + random.random((_BLOCK, 1), np.float32) / np.float32(2)  # (B, 1)
        sparse = parents.terms_of(one, other, share, random)
        vectors = parents.vectors_of(one, other, share, random)
        needed = min(_BLOCK, count - start)
        yield sparse.part(0, needed), vectors[:needed]


@dataclass(frozen=True, eq=False)
class _Parents:
    """R real pictures of at most M terms, as rows of the same length, and the N nearest of each."""

    drawn: NDArray[np.int64]  # (S,) their rows, of which a first parent is drawn
    vocabulary: int
    terms: NDArray[np.int32]  # (R, M)
    weights: NDArray[np.float32]  # (R, M), 0 where there is no term
    near: NDArray[np.int64]  # (R, N) rows
    dense: NDArray[np.float32] | None  # (R, D); None for random ones

    @classmethod
    def of(cls, collection: Collection, sources: NDArray[np.int64], random: np.random.Generator) -> "_Parents":
        numbers, drawn = np.unique(sources, return_inverse=True)
        pictures, vocabulary = collection.pictures, len(collection.lexicon)
        counts, columns = pictures.counts[numbers, None], np.arange(pictures.counts[numbers].max())
        places = np.where(columns < counts, pictures.indptr[numbers, None] + columns, 0)  # (R, M)
        terms = np.where(columns < counts, pictures.terms[places], 0)
        weights = np.where(columns < counts, pictures.weights[places], np.float32(0))
        near = nearest(terms[:, :COMPARED_TERMS], weights[:, :COMPARED_TERMS], vocabulary, random)
        dense = None if collection.origin == "random" else collection.dense[numbers]
        return cls(drawn, vocabulary, terms, weights, near, dense)

    def terms_of(
        self, one: NDArray[np.int64], other: NDArray[np.int64], share: NDArray[np.float32], random: np.random.Generator
    ) -> SparseWeights:
        """Each term by the weight of one parent; a term's coin is the product of a number of its own and one of the picture's."""
        of_term = random.integers(0, 1 << 32, self.vocabulary, np.uint32)  # (V,)
        of_picture = random.integers(0, 1 << 32, (len(one), 1), np.uint32) | np.uint32(1)  # (B, 1)
        limit = (share.astype(np.float64) * (1 << 32)).astype(np.uint32)
        terms = np.concatenate([self.terms[one], self.terms[other]], axis=1)  # (B, 2M)
        weights = np.concatenate([self.weights[one], self.weights[other]], axis=1)
        by_one = of_term[terms] * of_picture < limit  # the same for the two entries of a term that both have
        by_one[:, self.terms.shape[1] :] ^= True
        weights *= by_one
        weights *= np.exp(np.float32(JITTER) * random.standard_normal(weights.shape, np.float32))
        # To sort by descending weight, ties by term, as one number each: a weight's bits, upside down, and its term.
        keys = (~weights.view(np.uint32)).astype(np.uint64) << _HALF | terms.astype(np.uint64)
        keys.sort(axis=1)
        kept = keys >> _HALF < _LOW  # of weight 0 are the terms of the other parent, and padding
        keys = keys[kept]
        indptr = np.concatenate([[0], np.cumsum(kept.sum(1))]).astype(np.int64)
        return SparseWeights(indptr, (keys & _LOW).astype(np.int32), (~(keys >> _HALF).astype(np.uint32)).view(np.float32))

    def vectors_of(
        self, one: NDArray[np.int64], other: NDArray[np.int64], share: NDArray[np.float32], random: np.random.Generator
    ) -> NDArray[np.float32]:
        """Dense vectors (B, 512) between the parents', of norm 1."""
        if self.dense is None:
            vectors = random.standard_normal((len(one), DENSE_DIM), np.float32)
        else:
            there, back = self.dense[random.choice(self.drawn, (2, len(one)))]  # (B, D) each
            vectors = share * self.dense[one] + (1 - share) * self.dense[other] + np.float32(STRAY) * (there - back)
        return unit(vectors)


def nearest(
    terms: NDArray[np.int32], weights: NDArray[np.float32], vocabulary: int, random: np.random.Generator
) -> NDArray[np.int64]:
    """(R, N) the rows most like each of R (by the cosine of their weights), of `POOL` that were drawn; itself if it is alone."""
    from scipy.sparse import csr_array  # type: ignore[import-untyped]

    count, width = terms.shape
    normal = unit(weights)
    starts = np.arange(0, count * width + 1, width)
    matrix = csr_array((normal.ravel(), terms.ravel(), starts), shape=(count, vocabulary))
    pool = random.permutation(count)[:POOL]  # (P,)
    others = matrix[pool].T.toarray()  # (V, P)
    best = max(1, min(NEAR, len(pool) - 1))
    found = np.empty((count, best), np.int64)
    for start in range(0, count, _BLOCK):
        alike = matrix[start : start + _BLOCK] @ others  # (B, P)
        alike[np.arange(start, start + len(alike))[:, None] == pool] = -1
        found[start : start + len(alike)] = pool[np.argpartition(-alike, best - 1, axis=1)[:, :best]]
    return found
