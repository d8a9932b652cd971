"""Each loss part against a few obvious lines."""

import math

import pytest
import torch

from lexlip_training.lexlip import Outputs
from lexlip_training.losses import contrast, contrast_all, flops, multi_label, ramp, step_losses, unit
from lexlip_training.recipe import LossRecipe


def log_softmax_at(scores, place):
    return float(scores[place] - torch.logsumexp(scores, 0))


def test_contrast_is_symmetric_infonce_over_the_batch():
    texts, pictures = unit(torch.rand(8, 30)), unit(torch.rand(4, 30))  # two captions a picture
    total = 0.0
    for i in range(8):
        total -= log_softmax_at(pictures @ texts[i] / 0.05, i // 2) / 8
    for slot in range(2):
        for picture in range(4):
            total -= log_softmax_at(texts[slot::2] @ pictures[picture] / 0.05, picture) / 8
    assert float(contrast(texts, pictures, 0.05)) == pytest.approx(total / 2, rel=1e-5)


def test_a_perfect_batch_has_no_contrast_left():
    assert float(contrast(torch.eye(4), torch.eye(4), 0.05)) < 1e-6


def test_an_all_zero_vector_gives_no_nan():
    weights = torch.zeros(3, 5, requires_grad=True)
    loss = contrast(unit(weights), unit(torch.rand(3, 5)), 0.05)
    loss.backward()
    assert math.isfinite(loss.item()) and torch.isfinite(weights.grad).all()


def test_locked_contrast_ranks_all_candidates():
    texts, candidates = unit(torch.rand(4, 10)), unit(torch.rand(7, 10))
    rows = torch.tensor([5, 2])
    expected = -sum(log_softmax_at(candidates @ texts[i] / 0.05, int(rows[i // 2])) for i in range(4)) / 4
    assert float(contrast_all(texts, candidates, rows, 0.05)) == pytest.approx(expected, rel=1e-5)


def test_flops_is_the_sum_of_squared_means():
    weights = torch.tensor([[1.0, 0.0, 2.0], [3.0, 0.0, 0.0]])
    assert float(flops(weights)) == 2.0**2 + 0.0 + 1.0**2


def test_the_ramp_is_quadratic_and_then_flat():
    assert [ramp(step, 100, 0.5) for step in (0, 25, 50, 99)] == [0.0, 0.25, 1.0, 1.0]


def test_multi_label_is_cross_entropy_over_logit_plus_prior():
    logits, prior = torch.randn(2, 6), torch.tensor([-2.0, 0.5])
    places, targets = torch.tensor([4, 1]), torch.tensor([[1.0, 0.0], [0.4, 0.2]])
    total = 0.0
    for row in range(2):
        for k, place in enumerate(places):
            chance = torch.sigmoid(logits[row, place] + prior[k])
            target = targets[row, k]
            total -= float(target * chance.log() + (1 - target) * (1 - chance).log()) / 2
    assert float(multi_label(logits, places, prior, targets)) / 2 == pytest.approx(total, rel=1e-5)


def outputs(batch=3, captions=2, terms=9):
    picture, text = torch.randn(batch, terms), torch.randn(batch * captions, terms)
    return Outputs(torch.log1p(picture.relu()), torch.log1p(text.relu()), picture, text)


def test_a_step_is_the_weighted_sum_of_its_parts():
    found = outputs()
    labels = (torch.tensor([0, 3]), torch.zeros(2), torch.rand(3, 2))
    recipe = LossRecipe(flops_picture=0.1, flops_text=0.2, labels_picture=0.3, labels_text=0.4)
    parts = step_losses(found, recipe, 0.5, rows=torch.arange(3), labels=labels)
    pictures = torch.log1p(found.picture_logits.relu())
    assert float(parts["contrast"]) == pytest.approx(float(contrast(unit(found.texts), unit(pictures), 0.05)))
    assert float(parts["flops_picture"]) == pytest.approx(0.1 * 0.5 * float(flops(pictures)))
    assert float(parts["flops_text"]) == pytest.approx(0.2 * 0.5 * float(flops(found.texts)))
    assert float(parts["labels_picture"]) == pytest.approx(0.3 * float(multi_label(found.picture_logits, *labels)) / 3)
    repeated = labels[2].repeat_interleave(2, dim=0)
    assert float(parts["labels_text"]) == pytest.approx(0.4 * float(multi_label(found.text_logits, *labels[:2], repeated)) / 6)


def test_normalised_flops_is_at_most_one():
    parts = step_losses(outputs(), LossRecipe(flops_picture=1.0, flops_on="normalised"), 1.0, rows=torch.arange(3))
    assert 0 < float(parts["flops_picture"]) <= 1


def test_locked_pictures_stand_in_for_the_batch():
    found = outputs()
    locked = unit(torch.rand(6, 9))
    rows = torch.tensor([4, 0, 5])
    parts = step_losses(Outputs(None, found.texts, None, found.text_logits), LossRecipe(), 1.0, rows=rows, locked=locked)
    texts = unit(found.texts)
    expected = (contrast(texts, locked[rows], 0.05) + contrast_all(texts, locked, rows, 0.05)) / 2
    assert float(parts["contrast"]) == pytest.approx(float(expected))


def test_the_global_batch_is_what_gather_brings():
    whole = outputs(batch=4)
    recipe = LossRecipe(flops_picture=0.1, flops_text=0.1)
    alone = step_losses(whole, recipe, 1.0, rows=torch.arange(4))

    def gather(rows):  # another process brings the second half
        rest = {2: whole.pictures[2:], 4: whole.texts[4:]}[len(rows)]
        return torch.cat([rows, rest])

    half = Outputs(whole.pictures[:2], whole.texts[:4], whole.picture_logits[:2], whole.text_logits[:4])
    split = step_losses(half, recipe, 1.0, rows=torch.arange(2), gather=gather)
    for name, part in alone.items():
        torch.testing.assert_close(split[name], part)
