"""AdamW with a learning rate for each part of the model, and the schedule: linear warm-up, then linear decay to zero."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from lexlip_es.errors import UsageError
from lexlip_training.student import Student

BETAS, EPSILON = (0.9, 0.999), 1e-8


def rate_of(parameter: str, rates: Mapping[str, float]) -> float:
    """The learning rate of a parameter by its dotted name: that of the longest part in `rates` that contains it, else 0.

    >>> rate_of("picture.backbone.network.conv_head.weight", {"picture": 1e-3, "picture.backbone": 1e-4})
    0.0001
    """
    containing = [part for part in rates if parameter == part or parameter.startswith(f"{part}.")]
    return rates[max(containing, key=len)] if containing else 0.0


def parameter_groups(student: Student, rates: Mapping[str, float], weight_decay: float) -> list[dict[str, Any]]:
    """Parameter groups for AdamW, and `requires_grad` set to match: what has no rate, or lies below a cut, does not train.

    Biases, LayerNorms and other vectors or scalars do not decay. Each group has its `peak` rate, which `set_rates` scales.
    Raises `UsageError` for a part that the model does not have.
    """
    named, model = dict(student.parts()), student.model
    for part in rates:
        if not any(name == part or name.startswith(f"{part}.") for name in named):
            parts = ", ".join(sorted({name.split(".")[0] for name in named}))
            raise UsageError(f"the model has no part '{part}' to give a learning rate: its parts are {parts}, and theirs.")
    frozen = {id(parameter) for parameter in [*model.picture.backbone.frozen_parameters(), *model.text.frozen_parameters()]}
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in named.items():
        rate = 0.0 if id(parameter) in frozen else rate_of(name, rates)
        if not rate and name.startswith("bottleneck."):
            raise UsageError("a bottleneck loss needs a decoder that learns: give the phase a rate for 'bottleneck'.")
        parameter.requires_grad_(rate > 0)
        if rate > 0:
            decay = weight_decay if parameter.dim() >= 2 else 0.0
            groups.setdefault((rate, decay), []).append(parameter)
    return [
        {"params": parameters, "lr": rate, "peak": rate, "weight_decay": decay}
        for (rate, decay), parameters in sorted(groups.items())
    ]


def make_optimizer(groups: list[dict[str, Any]]) -> torch.optim.AdamW:
    """AdamW over `parameter_groups`."""
    return torch.optim.AdamW(groups, betas=BETAS, eps=EPSILON)


def schedule(step: int, steps: int, warm_up: float) -> float:
    """The factor of the peak rate at `step` (from 0) of `steps`: up over the first `warm_up` share, then down."""
    rising = steps * warm_up
    up = (step + 1) / rising if rising >= 1 else 1.0
    down = (steps - step) / max(1.0, steps - rising)
    return min(1.0, up, down)


def set_rates(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Scale every group's peak rate; stateless, so a resumed run needs nothing but its step."""
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * factor
