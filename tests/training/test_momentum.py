"""Stage 2: the following copy, and the contrast against its keys, by a reference in obvious lines."""

import math

import pytest
import torch
from torch import nn

from lexlip_es.errors import UsageError
from lexlip_training.losses import unit
from lexlip_training.momentum import Momentum, check_keys, momentum_contrast
from lexlip_training.queues import KeyQueue

NONE = -1
FAR = 900  # ids that nothing else has


def reference(queries, positives, pictures, captions, entries, temperature):
    """Mean of -log(own / (own + negatives)); entries are (key, picture, caption ids)."""
    total = 0.0
    for query, positive, picture, said in zip(queries, positives, pictures, captions, strict=True):
        own = torch.exp(query @ positive / temperature)
        negatives = 0.0
        for key, its_picture, its_captions in entries:
            if its_picture != NONE and its_picture != picture and not (set(said) & set(its_captions)) - {NONE}:
                negatives = negatives + torch.exp(query @ key / temperature)
        total = total - torch.log(own / (own + negatives))
    return total / len(queries)


def one_queue(keys, pictures, captions, entries=None):
    queue = KeyQueue(entries or len(keys), keys.shape[1], captions=len(captions[0]))
    queue.push(keys, torch.tensor(pictures), torch.tensor(captions))
    return queue


@pytest.mark.parametrize("with_batch", [False, True])
def test_loss_and_gradient_are_those_of_the_reference(with_batch):
    torch.manual_seed(0)
    pictures, captions = [3, 4, 5, 6], [[30, 31], [40, NONE], [50, 51], [60, 61]]
    batch_captions = [[30, NONE], [40, 61], [50, NONE], [60, NONE]]
    keys_pictures, keys_captions = [4, 9, 10, 11, 12, 3], [[7], [30], [NONE], [51], [8], [99]]
    positives, keys = unit(torch.rand(4, 8)), unit(torch.rand(6, 8))
    queue = one_queue(keys, keys_pictures, keys_captions, entries=10)  # four never filled
    queries = unit(torch.rand(4, 8)).requires_grad_()
    batch = {
        "batch_keys": positives,
        "batch_pictures": torch.tensor(pictures),
        "batch_captions": torch.tensor(batch_captions),
    }
    loss = momentum_contrast(
        queries, positives, torch.tensor(pictures), torch.tensor(captions), queue, 0.05, **(batch if with_batch else {})
    )
    (gradient,) = torch.autograd.grad(loss, queries)
    entries = list(zip(keys, keys_pictures, keys_captions, strict=True))
    if with_batch:
        entries += list(zip(positives, pictures, batch_captions, strict=True))
    expected = reference(queries, positives, pictures, captions, entries, 0.05)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    torch.testing.assert_close(gradient, torch.autograd.grad(expected, queries)[0], rtol=1e-4, atol=1e-6)


def cost(entry_picture, entry_captions, *, query_captions=(20, 21), place="queue", entries=1):
    """The loss of one query (picture 2) against one entry that is as near as its own key: log 2, or 0 if masked."""
    key = unit(torch.ones(1, 4))
    empty = KeyQueue(1, 4)
    ids = {"queue": empty}
    if place == "queue":
        ids["queue"] = one_queue(key, [entry_picture], [entry_captions], entries=entries)
    else:
        ids |= {
            "batch_keys": key,
            "batch_pictures": torch.tensor([entry_picture]),
            "batch_captions": torch.tensor([entry_captions]),
        }
    return float(momentum_contrast(key, key, torch.tensor([2]), torch.tensor([query_captions]), temperature=0.05, **ids))


@pytest.mark.parametrize("place", ["queue", "batch"])
class TestNoNegatives:
    def test_another_picture_with_another_caption_is_one(self, place):
        assert cost(1, [FAR], place=place) == pytest.approx(math.log(2))

    def test_the_same_picture_is_none(self, place):
        assert cost(2, [FAR], place=place) == 0

    def test_an_identical_caption_is_none_wherever_it_stands(self, place):
        assert cost(1, [20], place=place) == cost(1, [21], place=place) == cost(1, [FAR, 21], place=place) == 0

    def test_missing_captions_are_not_identical(self, place):
        assert cost(1, [NONE], query_captions=(20, NONE), place=place) == pytest.approx(math.log(2))
        assert cost(1, [NONE, 20], query_captions=(20, NONE), place=place) == 0

    def test_padding_is_none(self, place):
        assert cost(NONE, [FAR], place=place) == 0


def test_never_filled_entries_are_no_negatives():
    assert cost(1, [FAR], entries=100) == pytest.approx(math.log(2))


def test_without_any_negative_the_loss_is_zero_and_so_is_its_gradient():
    queries = unit(torch.rand(3, 4)).requires_grad_()
    loss = momentum_contrast(queries, unit(torch.rand(3, 4)), torch.arange(3), torch.arange(3), KeyQueue(5, 4), 0.05)
    loss.backward()
    assert loss.item() == 0 and not queries.grad.any()


def test_no_queries_cost_nothing():
    nothing = torch.zeros(0, 4, requires_grad=True)
    none = torch.zeros(0, dtype=torch.int64)
    assert momentum_contrast(nothing, nothing, none, none, KeyQueue(5, 4), 0.05).item() == 0


def test_an_all_zero_query_gives_no_nan():
    weights = torch.zeros(1, 4, requires_grad=True)
    queue = one_queue(unit(torch.rand(3, 4)), [1, 2, 3], [[1], [2], [3]])
    loss = momentum_contrast(unit(weights), torch.zeros(1, 4), torch.tensor([0]), torch.tensor([0]), queue, 0.05)
    loss.backward()
    assert loss.item() == pytest.approx(math.log(4)) and torch.isfinite(weights.grad).all()


def test_sums_of_parts_divided_by_the_whole_count_are_the_mean():
    queries, positives, numbers = unit(torch.rand(5, 6)), unit(torch.rand(5, 6)), torch.arange(5)
    queue = one_queue(unit(torch.rand(8, 6)), list(range(8)), [[i] for i in range(8)])
    batch = {"batch_keys": positives, "batch_pictures": numbers, "batch_captions": numbers}
    whole = momentum_contrast(queries, positives, numbers, numbers, queue, 0.05, **batch)
    parts = [
        momentum_contrast(
            queries[part], positives[part], numbers[part], numbers[part], queue, 0.05, **batch, reduction="sum"
        )
        for part in (slice(0, 3), slice(3, 5))
    ]  # fmt: skip
    assert (sum(parts) / 5).item() == pytest.approx(whole.item(), rel=1e-5)


def test_keys_receive_no_gradient():
    queries, positives = unit(torch.rand(2, 4)).requires_grad_(), unit(torch.rand(2, 4)).requires_grad_()
    numbers = torch.arange(2)
    batch = {"batch_keys": positives, "batch_pictures": numbers, "batch_captions": numbers}
    momentum_contrast(queries, positives, numbers, numbers, KeyQueue(3, 4), 0.05, **batch).backward()
    assert queries.grad.any() and positives.grad is None


def test_batch_keys_need_their_ids():
    numbers = torch.arange(2)
    with pytest.raises(ValueError, match="ids"):
        momentum_contrast(torch.eye(2), torch.eye(2), numbers, numbers, KeyQueue(3, 2), 0.05, batch_keys=torch.eye(2))


def small_model():
    model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Dropout(0.5), nn.Linear(6, 3))
    model[3].weight.requires_grad_(False)  # a frozen part
    return model.train()


def tensors(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_the_copy_starts_equal_and_is_its_own():
    model = small_model()
    model(torch.rand(8, 4))  # running statistics that are not the start values
    momentum = Momentum(model, 4, 3)
    before = tensors(model)
    assert equal(before, tensors(momentum.model))
    with torch.no_grad():
        model[0].weight.add_(1)
    assert equal(before, tensors(momentum.model))


def test_the_copy_never_drops_out_and_learns_no_statistics():
    model = small_model()
    momentum = Momentum(model, 4, 3)
    rows = torch.rand(8, 4)
    expected, before = model.eval()(rows), tensors(momentum.model)
    momentum.train()
    assert not any(module.training for module in momentum.modules())
    assert torch.equal(momentum(rows), expected) and equal(before, tensors(momentum.model))
    assert model.train().training  # the student itself is left alone


def test_the_copy_has_no_gradients():
    momentum = Momentum(small_model(), 4, 3)
    assert not any(parameter.requires_grad for parameter in momentum.parameters())
    assert not momentum(torch.rand(2, 4, requires_grad=True)).requires_grad


def test_an_update_moves_parameters_a_little_and_takes_buffers_over():
    model = small_model()
    momentum = Momentum(model, 4, 3)
    old = tensors(momentum.model)
    with torch.no_grad():
        model[0].weight.normal_()
    model(torch.rand(8, 4))
    momentum.update(model, 0.9)
    new = tensors(momentum.model)
    torch.testing.assert_close(new["0.weight"], 0.9 * old["0.weight"] + 0.1 * model[0].weight.detach())
    assert torch.equal(new["3.weight"], old["3.weight"])  # frozen: not even rounding
    for name in ("1.running_mean", "1.num_batches_tracked"):
        assert torch.equal(new[name], model.state_dict()[name]) and not torch.equal(new[name], old[name])
    momentum.update(model, 0.0)
    assert equal(tensors(momentum.model), tensors(model))


def test_the_state_holds_copy_and_queues_to_the_bit():
    first, second = (Momentum(small_model(), 5, 3, stored_terms=2, captions=2) for _ in range(2))
    first.picture_keys.push(torch.rand(7, 3), torch.arange(7), torch.arange(14).view(7, 2))
    first.text_keys.push(torch.rand(3, 3), torch.arange(3), torch.arange(3))
    second.load_state_dict(tensors(first))
    assert equal(tensors(first), tensors(second)) and int(second.picture_keys.cursor) == 2


def test_a_queue_longer_than_half_the_pictures_is_refused():
    check_keys(3000, 6000)
    check_keys(3000, 6001)
    with pytest.raises(UsageError, match=r"momentum.keys is 3001, .* 6000 training pictures: set it to 3000 or less"):
        check_keys(3001, 6000)
