"""The loss parts of a step. Each takes plain tensors, so each is tested against a few obvious lines.

Several processes: `gather` brings every process's rows together *with their gradient*, and each process computes the loss of
the whole global batch. Its backward sums over processes and data-parallel training averages over them, so gradients equal those
of one process.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

from lexlip_training.lexlip import Outputs
from lexlip_training.recipe import LossRecipe

EPSILON = 1e-6
Gather = Callable[[Tensor], Tensor]


def gather_alone(rows: Tensor) -> Tensor:
    """The global batch of a single process: its own rows."""
    return rows


class _GatherRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        ctx.own = slice(dist.get_rank() * len(rows), (dist.get_rank() + 1) * len(rows))
        everyone = [torch.empty_like(rows) for _ in range(dist.get_world_size())]
        dist.all_gather(everyone, rows.contiguous())
        return torch.cat(everyone)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        total = grad.contiguous().clone()
        dist.all_reduce(total)  # every process computed the whole loss, so each row's gradient comes from all of them
        own: Tensor = total[ctx.own]
        return own


def gather_processes(rows: Tensor) -> Tensor:
    """The rows (B, ...) of all processes, in process order, differentiable; every process must bring the same number."""
    gathered: Tensor = _GatherRows.apply(rows)
    return gathered


def unit(weights: Tensor) -> Tensor:
    """L2-normalise rows (..., A); an all-zero row stays zero instead of becoming NaN."""
    return F.normalize(weights, dim=-1, eps=EPSILON)


def contrast(texts: Tensor, pictures: Tensor, temperature: float) -> Tensor:
    """Symmetric InfoNCE on cosines: texts (N·c, A) picture by picture, pictures (N, A), both already unit -> scalar.

    Each caption finds its picture among N; each picture finds its k-th caption among the k-th captions of all, for each k.
    """
    count = pictures.shape[0]
    scores = (texts @ pictures.t() / temperature).view(count, -1, count)  # (N, c, N)
    captions = scores.shape[1]
    gold = torch.arange(count, device=scores.device)
    to_picture = F.cross_entropy(scores.flatten(0, 1), gold.repeat_interleave(captions))
    to_text = torch.stack([F.cross_entropy(scores[:, k].t(), gold) for k in range(captions)]).mean()
    return (to_picture + to_text) / 2


def contrast_all(texts: Tensor, candidates: Tensor, rows: Tensor, temperature: float) -> Tensor:
    """Each caption's own picture among all candidates: texts (B·c, A), candidates (P, A), rows (B,) -> scalar."""
    captions = texts.shape[0] // rows.shape[0]
    return F.cross_entropy(texts @ candidates.t() / temperature, rows.repeat_interleave(captions))


def flops(weights: Tensor) -> Tensor:
    """FLOPS (Paria et al. 2020): sum over terms of (mean over the batch of |w|) squared; weights (N, A) >= 0 -> scalar.

    It bounds the expected number of multiplications when a query meets a document, and pushes hardest on terms that are
    everywhere.
    """
    return weights.mean(0).square().sum()


def ramp(step: int, steps: int, share: float) -> float:
    """Quadratic growth from 0 to 1 over the first `share` of `steps`: the model first learns, then becomes sparse."""
    return min(1.0, step / max(1.0, steps * share)) ** 2


def multi_label(logits: Tensor, places: Tensor, prior: Tensor, targets: Tensor) -> Tensor:
    """Binary cross-entropy on the captions' pieces, over logit + log prior: summed over labels, mean over rows -> scalar.

    logits (n, A) before relu, places (S,) the labels among the terms, prior (S,) logit of each one's base rate, targets (n, S)
    in 0..1. With the prior added, a logit says how much more likely than usual a piece is, so common words need not be said: it
    keeps contrast and sparsity from silencing everything (method.md section 7).
    """
    return F.binary_cross_entropy_with_logits(logits[:, places] + prior, targets, reduction="sum") / logits.shape[0]


def step_losses(
    outputs: Outputs,
    recipe: LossRecipe,
    sparsity: float,
    *,
    rows: Tensor,
    labels: tuple[Tensor, Tensor, Tensor] | None = None,
    locked: Tensor | None = None,
    gather: Gather = gather_alone,
) -> dict[str, Tensor]:
    """The weighted parts of one step's loss by name; their sum is what is minimised.

    `sparsity` is the ramp's value, `labels` (places, prior, targets) as `multi_label`, `locked` (P, A) the unit weights of all
    training pictures where the picture side is fixed, `rows` (B,) the batch's places in it.
    """
    texts = gather(outputs.text_weights)  # (N·c, A)
    pictures = None if outputs.picture_logits is None else gather(torch.log1p(F.relu(outputs.picture_logits)))  # (N, A)
    parts: dict[str, Tensor] = {}
    unit_texts = unit(texts)
    if locked is not None:
        everywhere = gather(rows)
        in_batch = contrast(unit_texts, locked[everywhere], recipe.temperature)
        found = (in_batch + contrast_all(unit_texts, locked, everywhere, recipe.temperature)) / 2
    elif pictures is not None:
        found = contrast(unit_texts, unit(pictures), recipe.temperature)
    else:
        raise ValueError("a step needs pictures or locked candidates")
    parts["contrast"] = recipe.contrast * found
    shaped = unit if recipe.flops_on == "normalised" else gather_alone
    if recipe.flops_picture and pictures is not None:
        parts["flops_picture"] = recipe.flops_picture * sparsity * flops(shaped(pictures))
    if recipe.flops_text and outputs.text_logits is not None:
        parts["flops_text"] = recipe.flops_text * sparsity * flops(shaped(texts))
    if labels is not None:
        places, prior, targets = labels
        if recipe.labels_picture and outputs.picture_logits is not None:
            parts["labels_picture"] = recipe.labels_picture * multi_label(outputs.picture_logits, places, prior, targets)
        if recipe.labels_text and outputs.text_logits is not None:
            own = targets.repeat_interleave(outputs.text_logits.shape[0] // targets.shape[0], dim=0)
            parts["labels_text"] = recipe.labels_text * multi_label(outputs.text_logits, places, prior, own)
    return parts
