"""Made documents of any number, like those of real pictures as far as an engine can tell.

What is learned from real documents (`Statistics.of`): the share of pictures that has each term, the weights from the heaviest to
the lightest of each picture, and how heavy each term usually is. A made picture takes one real picture's weights, as many terms
as these are, drawn without replacement so that each comes as often as among the real ones, and gives the heavier weights to the
terms that are usually heavier. Terms are drawn independently of each other: that beaches have sand is lost, and postings are a
little less compressible than real ones. Terms that no real picture of the sample had do not come.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lexlip_es.documents import Document, document_id, picture_document
from lexlip_es.entries import Found, LocalFile, moment
from lexlip_es.images import Picture
from lexlip_es.lexicon import Lexicon
from lexlip_es.perceptual import HASH_BYTES
from lexlip_es.weights import Row, SparseWeights

COLLECTION, ROOT = "made pictures", "/made/pictures"
COPY_EVERY = 20  # every so many pictures one looks nearly like the one before it
IN_FOLDER = 1_000  # pictures
_BATCH = 500  # pictures drawn at once
_PIXELS = np.zeros((1, 1, 3), np.uint8)


@dataclass(frozen=True, eq=False)
class Statistics:
    """What made documents have in common with the real ones, of T terms and R pictures of at most N terms."""

    terms: NDArray[np.int32]  # (T,) vocabulary ids
    shares: NDArray[np.float64]  # (T,) of pictures with the term
    usual: NDArray[np.float64]  # (T,) mean logarithm of its weight
    spread: NDArray[np.float64]  # (T,) standard deviation of that
    profiles: NDArray[np.float32]  # (R, N) weights of each picture, heaviest first, then zeros

    @classmethod
    def of(cls, weights: SparseWeights) -> "Statistics":
        """Learn from documents, pruned and normalised as they are stored."""
        terms, which, counts = np.unique(weights.terms, return_inverse=True, return_counts=True)
        logs = np.log(weights.weights.astype(np.float64))
        usual = np.bincount(which, logs) / counts
        spread = np.sqrt(np.maximum(0, np.bincount(which, logs**2) / counts - usual**2))
        profiles = np.zeros((len(weights), int(weights.counts.max(initial=1))), np.float32)
        for i in range(len(weights)):
            row = weights.row(i)[1]
            profiles[i, : len(row)] = row
        return cls(terms.astype(np.int32), counts / max(1, len(weights)), usual, spread, profiles)

    def draw(self, count: int, random: np.random.Generator) -> SparseWeights:
        """So many made pictures: rows as they are stored."""
        profiles = self.profiles[random.integers(0, len(self.profiles), count)]  # (B, N)
        most = profiles.shape[1]
        # Waiting times at these rates: by time 1 a term has come with just its share's probability. The first N are taken.
        rates = -np.log1p(-np.minimum(self.shares, 1 - 1e-4)).astype(np.float32)
        times = random.standard_exponential((count, len(rates)), np.float32) / rates  # (B, T)
        first = np.argpartition(times, most - 1, axis=1)[:, :most]  # (B, N)
        first = np.take_along_axis(first, np.argsort(np.take_along_axis(times, first, 1), axis=1), 1)
        heaviness = self.usual[first] + self.spread[first] * random.standard_normal(first.shape)
        heaviness[profiles == 0] = -np.inf  # as many terms as the profile has weights
        order = np.argsort(-heaviness, axis=1)
        terms = self.terms[np.take_along_axis(first, order, 1)]
        kept = profiles > 0
        indptr = np.concatenate([[0], np.cumsum(kept.sum(1))]).astype(np.int64)
        return SparseWeights(indptr, terms[kept], profiles[kept]).truncate()


def made_file(i: int) -> Found:
    """The file of made picture `i`; there is none on any disk."""
    digits = hashlib.sha256(i.to_bytes(8, "big")).digest()
    size = 20_000 + int.from_bytes(digits[:4], "big") % 4_000_000
    modified = moment((1_500_000_000_000 + int.from_bytes(digits[4:9], "big") % 250_000_000_000) * 1_000_000)
    relative = f"{i // IN_FOLDER:05}/{i:08}.jpg"
    return Found(LocalFile(Path(ROOT, relative)), relative.encode(), size, modified)


def number_of(path: str) -> int:
    """The number of the made picture whose document has this `path`."""
    return int(path[-12:-4])


def made_hash(i: int) -> str:
    """The perceptual hash of made picture `i`: a copy's shape differs in a few bits from that of the picture before it."""
    looks = bytearray(hashlib.shake_128((i - (i % COPY_EVERY == 1)).to_bytes(8, "big")).digest(HASH_BYTES))
    if i % COPY_EVERY == 1:
        for bit in hashlib.shake_128(i.to_bytes(8, "big")).digest(4):
            looks[bit // 8] ^= 1 << bit % 8
    return looks.hex()


def made_documents(
    statistics: Statistics, lexicon: Lexicon, numbers: range, *, collection: str = COLLECTION, seed: int = 0
) -> Iterator[Document]:
    """Documents as `Engine.bulk` takes them, of the pictures of these numbers; another seed draws other terms."""
    for start in range(0, len(numbers), _BATCH):
        some = numbers[start : start + _BATCH]
        weights = statistics.draw(len(some), np.random.default_rng([seed, some.start]))
        for row, i in enumerate(some):
            yield made_document(i, weights.row(row), lexicon, collection=collection)


def made_document(
    i: int, row: Row, lexicon: Lexicon, *, collection: str = COLLECTION, said: Mapping[str, Any] | None = None
) -> Document:
    """The document of made picture `i` with these terms and weights, prepared as `prepare_documents` does."""
    found = made_file(i)
    source = picture_document(
        found,
        Picture(_PIXELS, 1024, 768, perceptual_hash=made_hash(i)),
        hashlib.sha256(found.relative).hexdigest(),
        row,
        lexicon,
        collection=collection,
        root=ROOT,
        said=said or {},
    )
    return {"_id": document_id(collection, found.relative), "source": source}
