"""What is compared: the same pictures and the same queries, as sparse terms and as dense vectors."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lexlip_es.lexicon import Lexicon
from lexlip_es.weights import SparseWeights, prepare_documents

Origin = Literal["dense twin", "CLIP", "random"]
"""Where dense vectors come from; `random` ones serve for times and bytes only, and nothing is said of what they find."""
AT_ONCE = 10_000  # pictures
DENSE_DIM = 512  # CLIP ViT-B/32's, to which the paper's 19.1 x refers


@dataclass(frozen=True, eq=False)
class Collection:
    """N pictures and Q queries. Sparse rows are as an encoder gives them: a system prunes them to what it keeps.

    The first `real` pictures are photographs, encoded by both sides; the others are made (`distractors`). Queries are captions
    of real pictures, by both text sides of the sparse model; `gold[i]` is the picture that query i is a caption of.
    """

    label: str
    lexicon: Lexicon
    pictures: SparseWeights  # N rows
    dense: NDArray[np.float32]  # (N, 512), norm 1
    origin: Origin
    real: int
    texts: tuple[str, ...]
    table_queries: SparseWeights  # Q rows: the query table's
    tower_queries: SparseWeights  # Q rows: the text tower's
    dense_queries: NDArray[np.float32]  # (Q, 512), norm 1
    gold: NDArray[np.int64]  # (Q,)

    def __len__(self) -> int:
        return len(self.pictures)

    def kept(self, terms: int) -> Iterator[SparseWeights]:
        """The pictures as documents with so many terms store them, some thousand at a time: all at once take much memory."""
        for start in range(0, len(self), AT_ONCE):
            yield prepare_documents(self.pictures.part(start, start + AT_ONCE), terms)

    def asking(self, queries: Sequence[int]) -> "Collection":
        """The same pictures with only these queries."""
        chosen = np.asarray(queries, np.int64)
        return replace(
            self,
            texts=tuple(self.texts[i] for i in chosen),
            table_queries=rows_of(self.table_queries, chosen),
            tower_queries=rows_of(self.tower_queries, chosen),
            dense_queries=self.dense_queries[chosen],
            gold=self.gold[chosen],
        )


def rows_of(weights: SparseWeights, numbers: NDArray[np.int64]) -> SparseWeights:
    """These rows, in this order."""
    return SparseWeights.from_rows([weights.row(i) for i in numbers])


def by_term_id(weights: SparseWeights) -> SparseWeights:
    """The rows with ascending term ids instead of descending weights, as other programs want them."""
    order = np.lexsort((weights.terms, np.repeat(np.arange(len(weights)), weights.counts)))
    return SparseWeights(weights.indptr, weights.terms[order], weights.weights[order])


def as_matrix(weights: SparseWeights, terms: int) -> Any:
    """SciPy's sparse array (B, V) of B rows over `terms` ones; the arrays are not copied."""
    from scipy.sparse import csr_array

    return csr_array((weights.weights, weights.terms, weights.indptr), shape=(len(weights), terms))
