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
        sizes = [torch.empty(1, dtype=torch.int64, device=rows.device) for _ in range(dist.get_world_size())]
        dist.all_gather(sizes, torch.tensor([len(rows)], device=rows.device))
        counts = [int(size) for size in sizes]
        before = sum(counts[: dist.get_rank()])
        ctx.own = slice(before, before + len(rows))
        padded = rows.new_zeros(max(counts), *rows.shape[1:])  # all_gather wants one shape from everyone
        padded[: len(rows)] = rows
        everyone = [torch.empty_like(padded) for _ in counts]
        dist.all_gather(everyone, padded)
        return torch.cat([part[:count] for part, count in zip(everyone, counts, strict=True)])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        total = grad.contiguous().clone()
        dist.all_reduce(total)  # every process computed the whole loss, so each row's gradient comes from all of them
        own: Tensor = total[ctx.own]
        return own


def gather_processes(rows: Tensor) -> Tensor:
    """The rows (B, ...) of all processes, in process order, differentiable; B may differ between processes and may be 0."""
    gathered: Tensor = _GatherRows.apply(rows)
    return gathered


def mean_over_all(total: Tensor, count: Tensor | int, gather: Gather) -> Tensor:
    """The mean over every process's rows of what each has summed over its own: `total` and how many it is a sum of.

    Scaled by the number of processes, because data-parallel training averages gradients over them: the average of the values,
    and of the gradients, is that of one process.
    """
    counts = gather(torch.as_tensor(count, dtype=torch.float32, device=total.device).view(1))
    return total * len(counts) / counts.sum().clamp(min=1)


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
    """Binary cross-entropy on the captions' pieces, over logit + log prior: summed over labels and rows -> scalar.

    logits (n, A) before relu, places (S,) the labels among the terms, prior (S,) logit of each one's base rate, targets (n, S)
    in 0..1. With the prior added, a logit says how much more likely than usual a piece is, so common words need not be said: it
    keeps contrast and sparsity from silencing everything.
    """
    return F.binary_cross_entropy_with_logits(logits[:, places] + prior, targets, reduction="sum")


def distil(student: Tensor, teacher: Tensor) -> Tensor:
    """KL divergence of the student's choice among columns from the teacher's, both (n, m) as logits, mean over rows -> scalar."""
    return F.kl_div(F.log_softmax(student, 1), F.log_softmax(teacher, 1), log_target=True, reduction="batchmean")


def distil_both(texts: Tensor, pictures: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """The teacher's in-batch similarities, both ways: unit texts (N·c, A), unit pictures (N, A), teacher logits (N·c, N)."""
    scores = texts @ pictures.t() / temperature  # (N·c, N)
    return (distil(scores, teacher) + distil(scores.t(), teacher.t())) / 2


def step_losses(
    outputs: Outputs,
    recipe: LossRecipe,
    sparsity: float,
    *,
    rows: Tensor,
    labels: tuple[Tensor, Tensor, Tensor] | None = None,
    locked: Tensor | None = None,
    teacher: Tensor | None = None,
    contrasted: Tensor | None = None,
    gather: Gather = gather_alone,
) -> dict[str, Tensor]:
    """The weighted parts of one step's loss by name; their sum is what is minimised.

    `sparsity` is the ramp's value, `labels` (places, prior, targets) as `multi_label`, `locked` (P, A) the unit weights of all
    training pictures where the picture side is fixed, `rows` (B,) the batch's places in it. `teacher` are the teacher's
    logits (N·c, N) of the global batch; `contrasted` takes the place of in-batch contrast where stage 2 has computed it.
    """
    texts = gather(outputs.texts)  # (N·c, A)
    pictures = None if outputs.pictures is None else gather(outputs.pictures)  # (N, A)
    parts: dict[str, Tensor] = {}
    unit_texts = unit(texts)
    if contrasted is not None:
        found = contrasted
    elif locked is not None:
        everywhere = gather(rows)
        in_batch = contrast(unit_texts, locked[everywhere], recipe.temperature)
        found = (in_batch + contrast_all(unit_texts, locked, everywhere, recipe.temperature)) / 2
    elif pictures is not None:
        found = contrast(unit_texts, unit(pictures), recipe.temperature)
    else:
        raise ValueError("a step needs pictures or locked candidates")
    if recipe.contrast:
        parts["contrast"] = recipe.contrast * found
    if recipe.distil and teacher is not None and pictures is not None:
        parts["distil"] = recipe.distil * distil_both(unit_texts, unit(pictures), teacher, recipe.temperature)
    shaped = unit if recipe.flops_on == "normalised" else gather_alone
    if recipe.flops_picture and pictures is not None:
        parts["flops_picture"] = recipe.flops_picture * sparsity * flops(shaped(pictures))
    if recipe.flops_text and outputs.text_logits is not None:
        parts["flops_text"] = recipe.flops_text * sparsity * flops(shaped(texts))
    if labels is not None:
        parts |= _label_losses(outputs, recipe, labels, gather)
    for name, (total, count) in outputs.masked.items():
        parts[name] = getattr(recipe, name) * mean_over_all(total, count, gather)
    return parts


def _label_losses(
    outputs: Outputs, recipe: LossRecipe, labels: tuple[Tensor, Tensor, Tensor], gather: Gather
) -> dict[str, Tensor]:
    places, prior, targets = labels
    parts = {}
    if recipe.labels_picture and outputs.picture_logits is not None:
        total = multi_label(outputs.picture_logits, places, prior, targets)
        parts["labels_picture"] = recipe.labels_picture * mean_over_all(total, len(targets), gather)
    if recipe.labels_text and outputs.text_logits is not None:
        captions = len(outputs.text_logits) // max(1, len(targets))
        total = multi_label(outputs.text_logits, places, prior, targets.repeat_interleave(captions, dim=0))
        parts["labels_text"] = recipe.labels_text * mean_over_all(total, len(outputs.text_logits), gather)
    return parts
