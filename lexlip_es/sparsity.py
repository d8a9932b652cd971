"""What a search costs whatever the engine: how many terms a picture and a text have, and how many of them meet.

FLOPS (Paria et al. 2020) is the expected number of terms that a random query and a random document share, which is
how many postings of one document a search touches: sum over terms of the share of queries times the share of documents with it.
"""

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from lexlip_es.weights import SparseWeights


def document_shares(weights: SparseWeights, n_terms: int | None = None) -> NDArray[np.float64]:
    """(V,) share of the rows that have each term; V is `n_terms`, or as many as the largest term needs."""
    return np.bincount(weights.terms, minlength=n_terms or 0) / max(1, len(weights))


def flops(queries: SparseWeights, documents: SparseWeights) -> float:
    """The mean number of terms that a query and a document share, over all pairs.

    >>> flops(SparseWeights.from_rows([([1, 2], [1, 1])]), SparseWeights.from_rows([([2], [1]), ([3], [1])]))
    0.5
    """
    asked, stored = document_shares(queries), document_shares(documents)
    both = min(len(asked), len(stored))
    return float(asked[:both] @ stored[:both])


@dataclass(frozen=True)
class Sparsity:
    """Mean terms (non-zero weights) of a picture and of a text, and the FLOPS of texts asking for pictures."""

    picture_non_zeros: float
    text_non_zeros: float
    flops: float

    @classmethod
    def of(cls, pictures: SparseWeights, texts: SparseWeights) -> "Sparsity":
        """Measure a batch of each."""
        per_picture, per_text = (round(len(batch.terms) / max(1, len(batch)), 2) for batch in (pictures, texts))
        return cls(per_picture, per_text, round(flops(texts, pictures), 4))

    def to_json(self) -> dict[str, float]:
        """As JSON."""
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.picture_non_zeros:.1f} terms a picture  {self.text_non_zeros:.1f} a text  FLOPS {self.flops:.3f}"
