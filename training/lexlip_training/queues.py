"""The memory of stage 2: a queue of past momentum keys, the negatives of the queries to come.

At V = 30,522 and K = 11,520 a dense queue takes 1.4 GB a side; one that keeps each key's 256 heaviest terms takes 24 MB. It is
exact while no key has more terms. Beyond that negatives look farther than they are and the loss is too low: on made keys, at a
loss of 1.5, by 1.4 % with 300 to 400 terms and by 35 % with 500 to 600. So store terms only where FLOPS has made keys sparse.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_CHUNK = 2**25  # floats of scattered keys that exist at a time (134 MB)


class KeyQueue(nn.Module):
    """First in, first out: K unit keys (A,) with the ids of their picture and captions.

    Everything is a buffer, the cursor too, so `state_dict` holds the whole queue. Entries never filled have picture -1.
    `push` writes in place: call it after the backward pass of the scores that were taken before.
    """

    def __init__(self, keys: int, terms: int, *, stored_terms: int = 0, captions: int = 1) -> None:
        """K = `keys` entries of A = `terms`; `stored_terms` > 0 keeps only a key's so many heaviest terms.

        `captions` is the most caption ids that an entry carries: 1 in a queue of texts, a picture's number of captions in a
        queue of pictures. Raises `ValueError` without entries.
        """
        super().__init__()
        if keys < 1:
            raise ValueError("a queue needs at least one entry")
        self.keys, self.width = keys, terms
        self.stored_terms = min(stored_terms, terms)
        self.dense: Tensor
        self.terms: Tensor
        self.weights: Tensor
        self.pictures: Tensor
        self.captions: Tensor
        self.cursor: Tensor
        if self.stored_terms:
            self.register_buffer("terms", torch.zeros(keys, self.stored_terms, dtype=torch.int32))
            self.register_buffer("weights", torch.zeros(keys, self.stored_terms))
        else:
            self.register_buffer("dense", torch.zeros(keys, terms))
        self.register_buffer("pictures", torch.full((keys,), -1))
        self.register_buffer("captions", torch.full((keys, captions), -1))
        self.register_buffer("cursor", torch.zeros((), dtype=torch.int64))  # where the next key goes

    @classmethod
    def bytes_for(cls, keys: int, terms: int, *, stored_terms: int = 0, captions: int = 1) -> int:
        """Bytes that such a queue takes, without making it."""
        stored = min(stored_terms, terms)
        key = stored * (4 + 4) if stored else terms * 4
        return keys * (key + 8 + captions * 8) + 8

    @property
    def bytes(self) -> int:
        """Bytes that this queue takes."""
        return sum(buffer.nbytes for buffer in self.buffers())

    @torch.no_grad()
    def push(self, keys: Tensor, pictures: Tensor, captions: Tensor) -> None:
        """Put unit keys (n, A) in the place of the oldest; pictures int64 (n,), captions int64 (n,) or (n, c), -1 = none.

        Any n wraps round, and of more than K the last K stay: pushing at once or in parts leaves the same queue. Rows with
        picture -1 are padding and left out. Raises `ValueError` for more caption ids than an entry carries.
        """
        captions = captions[:, None] if captions.dim() == 1 else captions  # (n, c)
        room = self.captions.shape[1] - captions.shape[1]
        if room < 0:
            raise ValueError(f"an entry carries at most {self.captions.shape[1]} caption ids, not {captions.shape[1]}")
        real = pictures >= 0
        total = int(real.sum())
        last = real.nonzero()[:, 0][-self.keys :]  # (min(n, K),)
        keys = keys[last]
        first = total - len(last)
        places = (self.cursor + first + torch.arange(len(last), device=self.cursor.device)) % self.keys
        if self.stored_terms:
            terms = keys.abs().topk(self.stored_terms, dim=1).indices  # (n, k); a dense model's keys are signed
            self.terms[places] = terms.to(self.terms.dtype)
            self.weights[places] = keys.gather(1, terms).to(self.weights.dtype)
        else:
            self.dense[places] = keys.to(self.dense.dtype)
        self.pictures[places] = pictures[last]
        self.captions[places] = F.pad(captions[last], (0, room), value=-1)
        self.cursor.copy_((self.cursor + total) % self.keys)

    def scores(self, queries: Tensor) -> Tensor:
        """Products of queries (n, A) with all entries -> (n, K) float32, differentiable in the queries; 0 where never filled."""
        if not self.stored_terms:
            return queries.float() @ self.dense.t()
        scores: Tensor = _StoredScores.apply(queries.float(), self.terms, self.weights)
        return scores


class _StoredScores(torch.autograd.Function):
    """Products with keys of few stored terms, scattered to dense a chunk at a time and again in the backward pass.

    So neither pass holds more than a chunk of dense keys, and both stay plain matrix products.
    """

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, queries: Tensor, terms: Tensor, weights: Tensor) -> Tensor:
        ctx.save_for_backward(terms, weights)
        ctx.width = queries.shape[1]  # type: ignore[attr-defined]
        scores = queries.new_empty(queries.shape[0], terms.shape[0])  # (n, K)
        for rows in _chunks(terms.shape[0], queries.shape[1]):
            scores[:, rows] = queries @ _scattered(terms[rows], weights[rows], queries.shape[1]).t()
        return scores

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *grads: Tensor) -> tuple[Tensor, None, None]:
        terms, weights = ctx.saved_tensors  # type: ignore[attr-defined]
        width: int = ctx.width  # type: ignore[attr-defined]
        grad = grads[0]  # (n, K)
        total = grad.new_zeros(grad.shape[0], width)  # (n, A)
        for rows in _chunks(terms.shape[0], width):
            total += grad[:, rows] @ _scattered(terms[rows], weights[rows], width)
        return total, None, None


def _chunks(keys: int, width: int) -> list[slice]:
    size = max(1, _CHUNK // width)
    return [slice(start, start + size) for start in range(0, keys, size)]


def _scattered(terms: Tensor, weights: Tensor, width: int) -> Tensor:
    """Stored keys (c, k) -> dense (c, A)."""
    return weights.new_zeros(terms.shape[0], width).scatter_(1, terms.long(), weights)
