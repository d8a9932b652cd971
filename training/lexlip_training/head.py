"""From hidden states to lexicon weights: transform, decode against the vocabulary, take the maximum over positions.

    hidden (B, L, D) -> dense, GELU, LayerNorm -> x matrix (A, D) -> max over L -> + bias -> log(1 + relu)   # (B, A)

LexLIP section 3.1 (Luo et al., ICCV 2023). The B x L x A logits never exist at once: they are pooled in chunks of the
vocabulary, only the winning position of each (row, term) is kept, and the gradient is routed to it.
"""

import warnings
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_CHUNK_ELEMENTS = 8_000_000  # logits alive at once: 32 MB in fp32


def lexicon_weights(logits: Tensor) -> Tensor:
    """w = log(1 + relu(pooled logits)), same shape."""
    return torch.log1p(F.relu(logits))


class _MaxPooledLogits(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, matrix: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        batch, length, dim = hidden.shape
        terms = matrix.shape[0]
        flat = hidden.reshape(batch * length, dim)  # (B·L, D)
        pooled = hidden.new_empty(batch, terms)  # (B, A)
        origins = torch.empty(batch, terms, dtype=torch.int32, device=hidden.device)  # (B, A)
        step = max(1, _CHUNK_ELEMENTS // (batch * length))
        for start in range(0, terms, step):
            logits = (flat @ matrix[start : start + step].t()).view(batch, length, -1)  # (B, L, chunk)
            logits.masked_fill_(~mask[:, :, None], float("-inf"))
            best, where = logits.max(dim=1)
            pooled[:, start : start + step] = best
            origins[:, start : start + step] = where
        ctx.save_for_backward(hidden, matrix, origins)
        ctx.mark_non_differentiable(origins)
        return pooled, origins

    @staticmethod
    def backward(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        hidden, matrix, origins = ctx.saved_tensors
        batch, length, dim = hidden.shape
        # One winner per (row, term): the logits' gradient is a sparse (B·L, A) of at most B·A entries, fewer where relu is shut.
        rows, terms = grad.nonzero(as_tuple=True)
        at = rows * length + origins[rows, terms]
        values = grad[rows, terms].float()  # sparse products know no half precision everywhere
        flat = hidden.reshape(batch * length, dim).float()
        to_hidden = to_matrix = None
        if ctx.needs_input_grad[0]:
            product = _csr(at, terms, values, (batch * length, matrix.shape[0])) @ matrix.float()
            to_hidden = product.view_as(hidden).to(hidden.dtype)
        if ctx.needs_input_grad[1]:
            to_matrix = (_csr(terms, at, values, (matrix.shape[0], batch * length)) @ flat).to(matrix.dtype)
        return to_hidden, to_matrix, None


def _csr(rows: Tensor, columns: Tensor, values: Tensor, size: tuple[int, int]) -> Tensor:
    order = torch.argsort(rows)
    starts = torch.zeros(size[0] + 1, dtype=torch.int64, device=rows.device)
    starts[1:] = torch.bincount(rows, minlength=size[0]).cumsum(0)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse")  # torch calls its CSR support beta
        return torch.sparse_csr_tensor(starts, columns[order], values[order], size=size)


def max_pooled_logits(hidden: Tensor, matrix: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """max over positions l of hidden[b, l] · matrix[v], and the position that won.

    hidden (B, L, D), matrix (A, D), mask (B, L) bool with at least one true position a row (padding is false and never wins).
    Returns logits (B, A) and origins int32 (B, A). Differentiable in hidden and matrix.
    """
    batch, length, _ = hidden.shape
    if length == 1:
        return F.linear(hidden[:, 0], matrix), torch.zeros(batch, matrix.shape[0], dtype=torch.int32, device=hidden.device)
    if torch.onnx.is_in_onnx_export():
        logits = torch.matmul(hidden, matrix.t())  # (B, L, A): a graph has no custom backward and runs small batches
        if mask is not None:
            logits = logits.masked_fill(~mask[:, :, None], -1e6)
        best, where = logits.max(dim=1)
        return best, where.to(torch.int32)
    if mask is None:
        mask = torch.ones(batch, length, dtype=torch.bool, device=hidden.device)
    matrix = matrix.to(hidden.dtype)  # under autocast the hidden states come in half precision
    pooled, origins = _MaxPooledLogits.apply(hidden, matrix, mask)
    return pooled, origins


class LexicalHead(nn.Module):
    """The masked-LM shaped head of one side: Linear D-D, GELU, LayerNorm, then a decoder matrix (A, D) and a bias (A).

    The matrix is passed to `forward`, because it may be this side's own, shared by both sides, or tied to word embeddings.
    """

    def __init__(self, dim: int, terms: int, bias: float = 0.0, norm_scale: float = 1.0) -> None:
        """`bias` is the start value of every term's bias, `norm_scale` that of the LayerNorm's weight."""
        super().__init__()
        self.dense = nn.Linear(dim, dim)
        self.norm = nn.LayerNorm(dim)
        nn.init.constant_(self.norm.weight, norm_scale)
        self.bias = nn.Parameter(torch.full((terms,), bias))

    def transform(self, hidden: Tensor) -> Tensor:
        """(B, L, D) -> (B, L, D), what is compared with the decoder's rows."""
        transformed: Tensor = self.norm(F.gelu(self.dense(hidden)))
        return transformed

    def forward(self, hidden: Tensor, matrix: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """hidden (B, L, D) already transformed, matrix (A, D), mask (B, L) -> pooled logits (B, A) and origins (B, A)."""
        pooled, origins = max_pooled_logits(hidden, matrix, mask)
        return pooled + self.bias, origins
