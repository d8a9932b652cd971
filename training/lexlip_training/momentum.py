"""Stage 2, momentum lexicon-contrastive learning (method.md section 3): keys come from a slowly following copy of the model.

The copy starts from the model as it stands (the stage 1 checkpoint), never drops out, and follows once per optimiser step.
"""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, Literal, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lexlip_es.errors import UsageError
from lexlip_training.queues import KeyQueue


class Momentum(nn.Module):
    """A copy of a model that follows it, and the queues of its pictures' and texts' keys."""

    def __init__(self, model: nn.Module, keys: int, terms: int, *, stored_terms: int = 0, captions: int = 1) -> None:
        """Copy `model` (unwrapped) as it is; two empty queues of K = `keys` entries of A = `terms`.

        `captions` is the most caption ids that a picture carries; `stored_terms` as in `KeyQueue`.
        """
        super().__init__()
        self.model = deepcopy(model).requires_grad_(False)
        self.picture_keys = KeyQueue(keys, terms, stored_terms=stored_terms, captions=captions)
        self.text_keys = KeyQueue(keys, terms, stored_terms=stored_terms)
        self.train()

    def train(self, mode: bool = True) -> Self:
        """Stays in evaluation mode whatever is asked: keys never see dropout, and normalisations never learn from them."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, *args: Any, **named: Any) -> Any:
        """The copy's own `forward`, without gradient."""
        return self.model(*args, **named)

    @torch.no_grad()
    def update(self, student: nn.Module, momentum: float) -> None:
        """Each parameter becomes momentum * old + (1 - momentum) * the student's; buffers become the student's.

        Once per optimiser step. Frozen parameters stay what they are, to the bit.
        """
        new = _tensors(student)
        for name, old in _tensors(self.model).items():
            if isinstance(old, nn.Parameter) and old.is_floating_point():
                old.lerp_(new[name], 1 - momentum)
            else:
                old.copy_(new[name])


def momentum_contrast(
    queries: Tensor,
    positives: Tensor,
    query_pictures: Tensor,
    query_captions: Tensor,
    queue: KeyQueue,
    temperature: float,
    *,
    batch_keys: Tensor | None = None,
    batch_pictures: Tensor | None = None,
    batch_captions: Tensor | None = None,
    reduction: Literal["mean", "sum"] = "mean",
) -> Tensor:
    """Cross-entropy of each query's own key against the queue and, if given, the batch's other keys -> scalar.

    queries (n, A) unit, with gradient; positives (n, A) unit, row by row the queries' own momentum keys; query_pictures int64
    (n,); query_captions int64 (n,) or (n, c'), -1 = none; batch_keys (m, A) with batch_pictures (m,) and batch_captions (m,) or
    (m, c). An entry is no negative if it was never filled (picture -1), is of the query's own picture, or shares a caption id
    with the query. A query without any negative costs 0. `reduction="sum"` adds up over queries, for processes that divide by
    the global count. Raises `ValueError` for batch keys without their ids.
    """
    queries, positives = queries.float(), positives.detach().float()
    own = (queries * positives).sum(1, keepdim=True)  # (n, 1)
    columns = [own]
    if batch_keys is not None:
        if batch_pictures is None or batch_captions is None:
            raise ValueError("batch keys need their pictures' and captions' ids")
        scores = queries @ batch_keys.detach().float().t()  # (n, m)
        columns.append(
            scores.masked_fill(_no_negative(query_pictures, query_captions, batch_pictures, batch_captions), -torch.inf)
        )
    unfit = _no_negative(query_pictures, query_captions, queue.pictures, queue.captions)  # (n, K)
    columns.append(queue.scores(queries).masked_fill(unfit, -torch.inf))
    logits = torch.cat(columns, dim=1) / temperature  # (n, 1 + m + K)
    total = F.cross_entropy(logits, query_pictures.new_zeros(logits.shape[0]), reduction="sum")
    return total if reduction == "sum" else total / max(1, logits.shape[0])


def check_keys(keys: int, pictures: int) -> None:
    """Refuse a queue longer than half the distinct training pictures: it would hold too much of what it is compared with.

    Raises `UsageError`.
    """
    if keys > pictures // 2:
        raise UsageError(
            f"momentum.keys is {keys}, more than half of the {pictures} training pictures: set it to {pictures // 2} or less."
        )


def _tensors(model: nn.Module) -> Mapping[str, Tensor]:
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


def _no_negative(query_pictures: Tensor, query_captions: Tensor, pictures: Tensor, captions: Tensor) -> Tensor:
    """(n, m) bool: entries that were never filled, are of the query's own picture or share a caption with it."""
    unfit = (pictures < 0) | (query_pictures[:, None] == pictures)  # (n, m)
    for asked in _columns(query_captions):  # a pair of columns at a time: never (n, m, c', c)
        for said in _columns(captions):
            unfit |= (asked[:, None] == said) & (said >= 0)
    return unfit


def _columns(captions: Tensor) -> tuple[Tensor, ...]:
    return (captions,) if captions.dim() == 1 else captions.unbind(1)
