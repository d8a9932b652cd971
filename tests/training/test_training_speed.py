"""The training benchmark: its parts are all of a step, and what it counts is what a hand counts."""

import json
import sys
from collections.abc import Callable
from itertools import count

import pytest
import torch
from torch import Tensor

from benchmarks.training_speed import Meter, by_formula, counter, main
from lexlip_training.head import max_pooled_logits
from lexlip_training.losses import contrast
from lexlip_training.momentum import momentum_contrast
from lexlip_training.queues import KeyQueue
from lexlip_training.recipe import MomentumRecipe, PhaseRecipe


def test_a_part_inside_another_counts_for_itself_alone():
    ticks = count()
    meter = Meter(lambda: float(next(ticks)))
    with meter.part("outer"), meter.part("inner"):
        pass
    assert meter.spent == {"outer": 2.0, "inner": 1.0}


def test_the_heads_operations_are_those_of_a_hand_count():
    batch, length, dim, terms = 3, 5, 7, 11
    hidden, matrix = torch.randn(batch, length, dim, requires_grad=True), torch.randn(terms, dim, requires_grad=True)
    with counter() as counted:
        pooled, _ = max_pooled_logits(hidden, matrix)
        forward = counted.get_total_flops()
        (pooled * torch.tensor([1.0] * 4 + [0.0] * 7)).sum().backward()  # 4 of 11 terms have a gradient
    assert forward == 2 * batch * length * dim * terms
    assert counted.get_total_flops() - forward == 2 * (2 * batch * 4 * dim)  # to hidden and to matrix, one winner a term


def operations(loss: Callable[[], Tensor]) -> dict[str, float]:
    with counter() as counted:
        total = loss()
        forward = counted.get_total_flops()
        total.backward()
    return {"losses": forward, "backward": counted.get_total_flops() - forward}


def test_the_formula_of_in_batch_contrast_is_what_is_counted():
    phase = PhaseRecipe("stage1", 1, captions=2)
    texts, pictures = torch.rand(6, 11, requires_grad=True), torch.rand(3, 11, requires_grad=True)
    counted = operations(lambda: contrast(texts, pictures, 0.05))
    assert {name: 3 * each for name, each in by_formula(phase, 11, batch=3, keys=0).items()} == counted


@pytest.mark.parametrize("negatives", [True, False])
def test_the_formula_of_queues_is_what_is_counted(negatives):
    phase = PhaseRecipe("stage2", 1, captions=2, momentum=MomentumRecipe(keys=9, batch_negatives=negatives))
    queue, queries, rows = KeyQueue(9, 11), torch.rand(6, 11, requires_grad=True), torch.arange(3).repeat_interleave(2)

    def direction(others: int) -> Tensor:
        numbers = torch.arange(others)
        batch = {"batch_keys": torch.rand(others, 11), "batch_pictures": numbers, "batch_captions": numbers} if negatives else {}
        return momentum_contrast(queries, torch.rand(6, 11), rows, torch.arange(6), queue, 0.05, **batch)

    counted = operations(lambda: direction(3) + direction(6))  # captions against 3 pictures, pictures against 6 captions
    assert {name: 3 * each for name, each in by_formula(phase, 11, batch=3, keys=9).items()} == counted


def test_main_times_both_stages_and_counts_their_parts(tmp_path, monkeypatch, capsys):
    figures = tmp_path / "figures.json"
    command = ["--steps", "2", "--batch", "4", "--phase", "stage1", "--phase", "stage2", "--json", str(figures)]
    monkeypatch.setattr(sys, "argv", ["training_speed", *command])
    main()
    stage_1, stage_2 = json.loads(figures.read_text())
    for stage in (stage_1, stage_2):
        assert stage["pictures_per_second"] > 0 and stage["peak_memory"] > 0
        assert stage["operations"]["backward"] > stage["operations"]["picture tower"] > 0
        assert set(stage["seconds"]) == set(stage["operations"])
    assert "bottleneck decoder" in stage_1["seconds"] and "momentum keys" in stage_2["seconds"]
    assert "| stage2 | momentum keys |" in capsys.readouterr().out
