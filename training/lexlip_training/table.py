"""The expanded query table: the text side without a network.

The text tower is run once for every word piece; what it answers to [CLS] piece [SEP] is that piece's row, cut to its heaviest
terms. The bag of pieces, trained before the tower, knows how much a piece matters, so a row is scaled until the piece itself
weighs that; what is not the piece itself is damped, because a piece without its sentence is ambiguous. A query is the maximum
over its pieces' rows.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lexlip_es.lexicon import Lexicon
from lexlip_training.data import Pieces
from lexlip_training.lexlip import LexLip

_LEAST_OWN = 0.3  # a piece that hardly says itself is not blown up beyond this
_BATCH = 500
_EMPTY: tuple[NDArray[np.int32], NDArray[np.float32]] = (np.empty(0, np.int32), np.empty(0, np.float32))


@dataclass(frozen=True)
class TableSettings:
    """How a table is made: terms kept a piece, and the factor on what is not the piece itself."""

    terms: int = 16
    damping: float = 0.5

    def to_config(self) -> dict[str, float]:
        """For a model's provenance."""
        return asdict(self)


@dataclass(frozen=True)
class Table:
    """Rows over vocabulary ids, terms as places among the active pieces: `indptr` (V + 1,), `terms` int32, `weights` float32."""

    indptr: NDArray[np.int64]
    terms: NDArray[np.int32]
    weights: NDArray[np.float32]

    @classmethod
    def from_rows(cls, rows: Sequence[tuple[NDArray[np.int32], NDArray[np.float32]]]) -> "Table":
        """From one (terms, weights) pair a vocabulary id."""
        counts = [len(terms) for terms, _ in rows]
        return cls(
            np.cumsum([0, *counts]).astype(np.int64),
            np.concatenate([terms for terms, _ in rows]).astype(np.int32),
            np.concatenate([weights for _, weights in rows]).astype(np.float32),
        )

    def encode(self, pieces: Pieces, terms: int) -> Tensor:
        """Weights (T, A) of captions: for each term the maximum over their pieces' rows."""
        dense = np.zeros((len(pieces), terms), np.float32)
        for i in range(len(pieces)):
            for piece in np.unique(pieces.caption(i)):
                start, end = self.indptr[piece], self.indptr[piece + 1]
                own = self.terms[start:end]
                dense[i, own] = np.maximum(dense[i, own], self.weights[start:end])
        return torch.from_numpy(dense)


@dataclass(frozen=True)
class TowerRows:
    """What the text tower answers to each active piece alone: its heaviest terms as places, their weights, both (A, k)."""

    terms: NDArray[np.int64]
    weights: NDArray[np.float32]
    own: NDArray[np.float32]  # (A,) the weight of the piece itself


@torch.no_grad()
def tower_rows(model: LexLip, lexicon: Lexicon, terms: int) -> TowerRows:
    """Run the tower over [CLS] piece [SEP] for all active pieces; seconds on one core.

    Other pieces get no row: the tower was never taught what they should ask for.
    """
    first, last = lexicon.id("[CLS]"), lexicon.id("[SEP]")
    kept_terms, kept_weights, own = [], [], []
    for start in range(0, len(model.active), _BATCH):
        pieces = model.active[start : start + _BATCH]
        ids = torch.stack([torch.full_like(pieces, first), pieces, torch.full_like(pieces, last)], dim=1)  # (n, 3)
        weights = model.text_weights(ids, torch.ones_like(ids, dtype=torch.bool)).float()  # (n, A)
        heaviest = weights.topk(min(terms, weights.shape[1]), dim=1)
        kept_terms.append(heaviest.indices.cpu().numpy())
        kept_weights.append(heaviest.values.cpu().numpy())
        own.append(weights[torch.arange(len(pieces)), start + torch.arange(len(pieces))].cpu().numpy())
    return TowerRows(np.concatenate(kept_terms), np.concatenate(kept_weights), np.concatenate(own))


def tower_table(model: LexLip, rows: TowerRows, settings: TableSettings, vocabulary: int) -> Table:
    """Scale, damp and gather the tower's rows into a table (see the module's docstring)."""
    learned = model.bag.weights().detach().cpu().numpy()  # (A,)
    gain = learned / np.maximum(rows.own, _LEAST_OWN)
    itself = rows.terms == np.arange(len(rows.terms))[:, None]  # (A, k)
    weights = rows.weights * gain[:, None] * np.where(itself, 1.0, settings.damping)
    made = [_EMPTY] * vocabulary
    for place, piece in enumerate(model.active.tolist()):
        terms, asked = rows.terms[place, : settings.terms], weights[place, : settings.terms]
        made[piece] = (terms[asked > 0].astype(np.int32), asked[asked > 0].astype(np.float32))
    return Table.from_rows(made)


def plain_table(model: LexLip, vocabulary: int) -> Table:
    """The table of a model whose text side is a bag: each active piece asks for itself, by its learned weight."""
    learned = model.bag.weights().detach().cpu().numpy()
    rows = [_EMPTY] * vocabulary
    for place, piece in enumerate(model.active.tolist()):
        rows[piece] = (np.array([place], np.int32), learned[place : place + 1])
    return Table.from_rows(rows)
