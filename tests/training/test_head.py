"""The lexical head: chunked max pooling equals the obvious formula, forwards and backwards."""

import pytest
import torch

from lexlip_training import head as head_module
from lexlip_training.head import LexicalHead, lexicon_weights, max_pooled_logits


def naive(hidden, matrix, mask):
    logits = hidden @ matrix.t()  # (B, L, A)
    logits = torch.where(mask[:, :, None], logits, torch.tensor(-1e6))
    return logits.max(dim=1)


@pytest.fixture
def case():
    hidden = torch.randn(3, 7, 16, requires_grad=True)
    matrix = torch.randn(50, 16, requires_grad=True)
    mask = torch.arange(7)[None] < torch.tensor([7, 3, 1])[:, None]
    return hidden, matrix, mask


@pytest.mark.parametrize("chunk", [1, 21 * 16, 10_000])
def test_pooling_in_chunks_equals_the_whole_product(case, chunk, monkeypatch):
    monkeypatch.setattr(head_module, "_CHUNK_ELEMENTS", chunk)
    hidden, matrix, mask = case
    pooled, origins = max_pooled_logits(hidden, matrix, mask)
    expected, where = naive(hidden, matrix, mask)
    torch.testing.assert_close(pooled, expected)
    assert torch.equal(origins.long(), where)


def test_the_gradient_goes_to_the_winning_position(case):
    hidden, matrix, mask = case
    upstream = torch.randn(3, 50)
    expected = torch.autograd.grad(naive(hidden, matrix, mask)[0], (hidden, matrix), upstream)
    found = torch.autograd.grad(max_pooled_logits(hidden, matrix, mask)[0], (hidden, matrix), upstream)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_the_gradient_agrees_where_relu_is_shut(case):
    hidden, matrix, mask = case
    expected = torch.autograd.grad(lexicon_weights(naive(hidden, matrix, mask)[0] - 4).sum(), (hidden, matrix))
    found = torch.autograd.grad(lexicon_weights(max_pooled_logits(hidden, matrix, mask)[0] - 4).sum(), (hidden, matrix))
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_only_what_needs_a_gradient_gets_one(case):
    hidden, matrix, mask = case
    pooled, _ = max_pooled_logits(hidden, matrix.detach(), mask)
    pooled.sum().backward()
    assert hidden.grad is not None and matrix.grad is None


def test_padded_positions_never_win_and_get_no_gradient(case):
    hidden, matrix, mask = case
    with torch.no_grad():
        hidden[1, 3:] = 1e3
        hidden[2, 1:] = -1e3
    pooled, origins = max_pooled_logits(hidden, matrix, mask)
    assert int(origins[1].max()) < 3 and int(origins[2].max()) == 0
    pooled.sum().backward()
    assert not hidden.grad[1, 3:].any() and not hidden.grad[2, 1:].any()


def test_a_single_position_is_a_plain_product():
    hidden, matrix = torch.randn(2, 1, 8), torch.randn(5, 8)
    pooled, origins = max_pooled_logits(hidden, matrix)
    torch.testing.assert_close(pooled, hidden[:, 0] @ matrix.t())
    assert not origins.any()


def test_lexicon_weights_are_log_one_plus_relu():
    logits = torch.tensor([[-1.0, 0.0, 1.0, 20.0]])
    torch.testing.assert_close(lexicon_weights(logits), torch.tensor([[0.0, 0.0, 2.0, 21.0]]).clamp(min=1).log())


def test_the_head_is_dense_gelu_norm_decoder_bias():
    head = LexicalHead(8, 5, bias=-3.0, norm_scale=0.3)
    hidden, matrix = torch.randn(2, 4, 8), torch.randn(5, 8)
    inner = torch.nn.functional.gelu(hidden @ head.dense.weight.t() + head.dense.bias)
    mean, spread = inner.mean(-1, keepdim=True), inner.var(-1, unbiased=False, keepdim=True)
    transformed = (inner - mean) / torch.sqrt(spread + 1e-5) * 0.3
    torch.testing.assert_close(head.transform(hidden), transformed)
    logits, _ = head(head.transform(hidden), matrix)
    torch.testing.assert_close(logits, (transformed @ matrix.t()).amax(1) - 3.0)
