"""The queue of keys: first in, first out, whatever the batch sizes; stored terms instead of whole keys."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lexlip_training import queues
from lexlip_training.losses import unit
from lexlip_training.momentum import momentum_contrast
from lexlip_training.queues import KeyQueue


def realistic_keys(n, terms, least, most, seed):
    """Unit lexicon weights log(1 + relu) with so many non-zeros a row, popular terms more often than others."""
    noise = torch.Generator().manual_seed(seed)
    popularity = 1 / (1 + torch.arange(terms)) ** 0.5
    rows = torch.zeros(n, terms)
    for row in rows:
        count = int(torch.randint(least, most + 1, (1,), generator=noise))
        spoken = torch.multinomial(popularity, count, generator=noise)
        row[spoken] = torch.log1p(torch.relu(torch.randn(count, generator=noise) * 1.5 + 1))
    return unit(rows)


def content(queue):
    return {name: tensor.clone() for name, tensor in queue.state_dict().items()}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 12), max_size=8), st.sampled_from([0, 3]))
def test_batches_of_any_size_wrap_round_and_the_last_keys_stay(sizes, stored):
    queue, keys = KeyQueue(5, 4, stored_terms=stored), []
    for size in sizes:
        batch = torch.rand(size, 4)
        batch[:, 0] = 0  # so that three terms are all there is
        numbers = torch.arange(len(keys), len(keys) + size)
        queue.push(batch, numbers, numbers + 100)
        keys += list(batch)
    held = {int(picture): row for row, picture in enumerate(queue.pictures) if picture >= 0}
    assert sorted(held) == list(range(len(keys)))[-5:]
    scores = queue.scores(torch.eye(4))  # (4, 5): the keys themselves
    for number, row in held.items():
        assert row == number % 5
        assert torch.equal(scores[:, row], keys[number])
        assert int(queue.captions[row, 0]) == number + 100
    assert not scores[:, queue.pictures < 0].any()


def test_padding_is_not_pushed():
    queue = KeyQueue(4, 3)
    queue.push(torch.eye(3), torch.tensor([7, -1, 8]), torch.tensor([1, 2, 3]))
    assert queue.pictures.tolist() == [7, 8, -1, -1] and torch.equal(queue.dense[1], torch.eye(3)[2])
    queue.push(torch.eye(3), torch.full((3,), -1), torch.full((3,), -1))
    assert queue.pictures.tolist() == [7, 8, -1, -1] and int(queue.cursor) == 2


def test_an_entry_carries_several_captions_and_no_more_than_it_has_room_for():
    queue = KeyQueue(2, 3, captions=3)
    queue.push(torch.eye(3)[:1], torch.tensor([0]), torch.tensor([[5, 6]]))
    assert queue.captions.tolist() == [[5, 6, -1], [-1, -1, -1]]
    with pytest.raises(ValueError, match="at most 3"):
        queue.push(torch.eye(3)[:1], torch.tensor([0]), torch.zeros(1, 4, dtype=torch.int64))


def test_a_queue_without_entries_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        KeyQueue(0, 3)


def test_pushed_keys_carry_no_gradient():
    queue = KeyQueue(3, 4)
    queue.push(torch.rand(2, 4, requires_grad=True), torch.arange(2), torch.arange(2))
    assert not queue.dense.requires_grad


@pytest.mark.parametrize("stored", [0, 2])
def test_the_state_comes_back_to_the_bit_and_goes_on_the_same(stored):
    first, second = (KeyQueue(5, 6, stored_terms=stored, captions=2) for _ in range(2))
    first.push(torch.rand(7, 6), torch.arange(7), torch.arange(14).view(7, 2))
    second.load_state_dict(content(first))
    for queue in (first, second):
        queue.push(torch.eye(6)[:4], torch.arange(4), torch.arange(4))
    before, after = content(first), content(second)
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)


def test_stored_terms_keep_the_heaviest_and_their_sign():
    queue = KeyQueue(1, 4, stored_terms=2)
    queue.push(torch.tensor([[0.5, -0.7, 0.1, 0.2]]), torch.tensor([0]), torch.tensor([0]))
    assert torch.equal(queue.scores(torch.eye(4))[:, 0], torch.tensor([0.5, -0.7, 0.0, 0.0]))


def test_stored_scores_and_their_gradient_do_not_depend_on_the_chunk(monkeypatch):
    keys, grad = realistic_keys(13, 50, 5, 10, 0), torch.rand(4, 13)
    found = []
    for chunk, stored in ((2**25, 0), (2**25, 10), (150, 10)):  # 150: three keys at a time
        monkeypatch.setattr(queues, "_CHUNK", chunk)
        queue = KeyQueue(13, 50, stored_terms=stored)
        queue.push(keys, torch.arange(13), torch.arange(13))
        queries = realistic_keys(4, 50, 5, 10, 1).requires_grad_()
        scores = queue.scores(queries)
        scores.backward(grad)
        found.append((scores.detach(), queries.grad))
    for scores, gradient in found[1:]:
        torch.testing.assert_close(scores, found[0][0])
        torch.testing.assert_close(gradient, found[0][1])


def loss_and_gradient(stored, least, most):
    """Of 32 queries with keys of so many non-zeros, at a loss of 1 to 2: neither guessing (6.4) nor solved (0)."""
    keys, queries = realistic_keys(600, 2000, least, most, 0), realistic_keys(32, 2000, least, most, 1).requires_grad_()
    own = unit(0.3 * queries.detach() + realistic_keys(32, 2000, least, most, 2))
    queue, numbers = KeyQueue(600, 2000, stored_terms=stored), torch.arange(600)
    queue.push(keys, numbers, numbers)
    loss = momentum_contrast(queries, own, numbers[:32] + 1000, numbers[:32] + 1000, queue, 0.05)
    loss.backward()
    return loss.item(), queries.grad


def test_with_256_stored_terms_the_loss_is_within_one_percent_of_the_dense_queues():
    dense, gradient = loss_and_gradient(0, 80, 160)
    stored, its_gradient = loss_and_gradient(256, 80, 160)
    assert 1 < dense < 2 and stored == pytest.approx(dense, rel=0.01)
    torch.testing.assert_close(its_gradient, gradient)  # no key has more than 256 terms: in fact exact


def test_keys_of_many_more_terms_than_are_stored_make_the_loss_too_low():
    dense, stored = loss_and_gradient(0, 500, 600)[0], loss_and_gradient(256, 500, 600)[0]
    assert stored < 0.8 * dense  # the limit that the class states


def test_the_memory_of_a_queue_is_known_without_making_it():
    for stored, captions in ((0, 1), (3, 5), (99, 1)):
        queue = KeyQueue(7, 10, stored_terms=stored, captions=captions)
        assert KeyQueue.bytes_for(7, 10, stored_terms=stored, captions=captions) == queue.bytes
    assert KeyQueue.bytes_for(11_520, 30_522) == 1_406_638_088  # 1.4 GB a side
    assert KeyQueue.bytes_for(11_520, 30_522, stored_terms=256) == 23_777_288  # 24 MB a side
