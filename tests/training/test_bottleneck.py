"""The bottleneck, its decoder, and cross-entropy at selected positions, each against a few obvious lines."""

import math

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from lexlip_es.errors import LexlipError
from lexlip_training.bottleneck import BottleneckDecoder, bottleneck, masked_cross_entropy
from lexlip_training.masked_lm import encoder_from_config, portable_config

BERT = {
    "model_type": "bert",
    "vocab_size": 60,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 48,
}
TERMS = 37


@pytest.fixture
def decoder():
    return BottleneckDecoder(BERT).eval()


def softmax(row):
    powers = [math.exp(value - max(row)) for value in row]
    return [power / sum(powers) for power in powers]


# -- the bottleneck


def test_the_bottleneck_is_the_expected_embedding():
    logits, embeddings = torch.randn(3, 7, dtype=torch.float64) * 3, torch.randn(7, 4, dtype=torch.float64)
    for row, found in zip(logits.tolist(), bottleneck(logits, embeddings).tolist(), strict=True):
        chances = softmax(row)
        wanted = [sum(chances[v] * float(embeddings[v, d]) for v in range(7)) for d in range(4)]
        assert found == pytest.approx(wanted, rel=1e-4, abs=1e-6)


def test_its_gradient_reaches_the_logits_only():
    logits = (torch.randn(2, 7) * 3).requires_grad_()
    embeddings = torch.randn(7, 4, requires_grad=True)
    upstream = torch.randn(2, 4)
    bottleneck(logits, embeddings).backward(upstream)
    assert embeddings.grad is None
    for row in range(2):
        chances = softmax(logits[row].tolist())
        gains = [float(upstream[row] @ embeddings[v].detach()) for v in range(7)]
        mean = sum(chance * gain for chance, gain in zip(chances, gains, strict=True))
        wanted = [chance * (gain - mean) for chance, gain in zip(chances, gains, strict=True)]  # of a softmax
        assert logits.grad[row].tolist() == pytest.approx(wanted, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
def test_it_keeps_full_precision_under_autocast(precision):
    logits, embeddings = torch.randn(2, 5000), torch.randn(5000, 8)
    with torch.autocast("cpu", dtype=precision):
        found = bottleneck(logits, embeddings)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, bottleneck(logits, embeddings))


# -- the decoder


def reference_layers(decoder, hidden, lengths):
    """BERT's layer in plain steps, one caption at a time, cut to its real length: no masks are needed."""
    rows = []
    for states, length in zip(hidden, lengths, strict=True):
        x = states[:length]
        for layer in decoder.layers:
            own, heads = layer.attention.self, []
            q, k, v = own.query(x), own.key(x), own.value(x)
            for start in (0, 16):
                part = slice(start, start + 16)
                heads.append(torch.softmax(q[:, part] @ k[:, part].T / 4.0, dim=1) @ v[:, part])
            x = layer.attention.output.LayerNorm(x + layer.attention.output.dense(torch.cat(heads, dim=1)))
            x = layer.output.LayerNorm(x + layer.output.dense(torch.nn.functional.gelu(layer.intermediate.dense(x))))
        rows.append(x)
    return rows


def made_input():
    lengths = [6, 3, 4]
    mask = torch.arange(6)[None] < torch.tensor(lengths)[:, None]
    return lengths, torch.randn(3, 6, 32), mask, torch.randn(3, 32)


def test_the_decoder_is_two_bert_layers_with_the_bottleneck_first(decoder):
    lengths, embedded, mask, through = made_input()
    for parameter in decoder.parameters():
        torch.nn.init.normal_(parameter, std=0.3)  # so that attention is far from even
    leaves = [tensor.requires_grad_() for tensor in (embedded, through)]
    upstream = torch.randn(3, 6, 32) * mask[..., None]
    found = decoder(embedded, mask, through)
    grads = torch.autograd.grad((found * upstream).sum(), leaves)
    hidden = torch.stack([torch.stack([through[b], *embedded[b, 1:]]) for b in range(3)])
    wanted = reference_layers(decoder, hidden, lengths)
    for b, length in enumerate(lengths):
        torch.testing.assert_close(found[b, :length], wanted[b], rtol=1e-4, atol=1e-4)
    total = sum((wanted[b] * upstream[b, :length]).sum() for b, length in enumerate(lengths))
    for grad, reference in zip(grads, torch.autograd.grad(total, leaves), strict=True):
        torch.testing.assert_close(grad, reference, rtol=1e-3, atol=1e-3)
    assert len(decoder.layers) == 2 and not grads[0][:, 0].any() and grads[1].all(dim=1).all()


def test_padding_never_reaches_real_positions(decoder):
    _, embedded, mask, through = made_input()
    before = decoder(embedded, mask, through)
    noisy = torch.where(mask[..., None], embedded, torch.full_like(embedded, 50.0))
    longer = torch.cat([noisy, torch.randn(3, 5, 32) * 9], dim=1)
    longer_mask = torch.cat([mask, torch.zeros(3, 5, dtype=torch.bool)], dim=1)
    torch.testing.assert_close(decoder(noisy, mask, through)[mask], before[mask])
    torch.testing.assert_close(decoder(longer, longer_mask, through)[:, :6][mask], before[mask])


def test_the_bottleneck_reaches_every_position_and_cls_none(decoder):
    _, embedded, mask, through = made_input()
    before = decoder(embedded, mask, through)
    other_cls = torch.cat([torch.randn(3, 1, 32), embedded[:, 1:]], dim=1)
    assert torch.equal(decoder(other_cls, mask, through), before)
    assert ((decoder(embedded, mask, through + 1) - before).abs().amax(2) > 0)[mask].all()


def test_it_starts_as_a_bert_does():
    small = BottleneckDecoder(BERT | {"hidden_size": 128, "intermediate_size": 256, "initializer_range": 0.05}, layers=1)
    assert small.layers[0].intermediate.dense.weight.std().item() == pytest.approx(0.05, rel=0.05)
    assert not small.layers[0].intermediate.dense.bias.any()


def test_it_takes_a_model_folders_text_configuration():
    small = BottleneckDecoder(portable_config(encoder_from_config(BERT)), layers=3)
    assert len(small.layers) == 3 and small.layers[0].intermediate.dense.out_features == 48


def test_a_configuration_unlike_berts_is_refused():
    with pytest.raises(LexlipError, match="intermediate_size"):
        BottleneckDecoder({"model_type": "distilbert", "hidden_size": 32, "num_attention_heads": 2})


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
def test_the_decoder_runs_under_autocast(decoder, precision):
    _, embedded, mask, through = made_input()
    with torch.autocast("cpu", dtype=precision):
        found = decoder(embedded, mask, through)
    torch.testing.assert_close(found.float()[mask], decoder(embedded, mask, through)[mask], rtol=0.05, atol=0.05)


def test_torch_compile_sees_one_graph(decoder):
    _, embedded, mask, through = made_input()
    compiled = torch.compile(decoder, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(embedded, mask, through), decoder(embedded, mask, through))


# -- cross-entropy at selected positions


def test_masked_cross_entropy_and_its_gradient():
    tensors = [torch.randn(5, 4), torch.randn(TERMS, 4), torch.randn(TERMS)]
    hidden, matrix, bias = [tensor.requires_grad_() for tensor in tensors]
    places = torch.tensor([3, -1, 36, 3, -1])
    total, count = masked_cross_entropy(hidden, matrix, bias, places)
    total.backward()
    loss, wanted = 0.0, [torch.zeros_like(tensor) for tensor in tensors]
    for i in (0, 2, 3):
        chances = softmax([float((hidden[i] @ matrix[v] + bias[v]).detach()) for v in range(TERMS)])
        loss -= math.log(chances[places[i]])
        for v in range(TERMS):
            error = chances[v] - float(v == places[i])
            wanted[0][i] += error * matrix[v].detach()
            wanted[1][v] += error * hidden[i].detach()
            wanted[2][v] += error
    assert total.item() == pytest.approx(loss, rel=1e-5) and int(count) == 3
    for tensor, grad in zip((hidden, matrix, bias), wanted, strict=True):
        torch.testing.assert_close(tensor.grad, grad, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("places", [[], [-1, -1]])
def test_nothing_selected_is_zero_with_a_gradient(places):
    leaves = [torch.randn(len(places), 4), torch.randn(TERMS, 4), torch.randn(TERMS)]
    total, count = masked_cross_entropy(*(leaf.requires_grad_() for leaf in leaves), torch.tensor(places, dtype=torch.int64))
    total.backward()
    assert total.item() == 0.0 and int(count) == 0
    assert all(leaf.grad is not None and not leaf.grad.any() for leaf in leaves)


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
def test_the_sum_is_float32_under_autocast(precision):
    hidden, matrix, bias = torch.randn(400, 8), torch.randn(TERMS, 8), torch.randn(TERMS)
    places = torch.randint(TERMS, (400,))
    with torch.autocast("cpu", dtype=precision):
        total, count = masked_cross_entropy(hidden.to(precision), matrix, bias, places)
    assert total.dtype == torch.float32 and int(count) == 400
    assert float(total) == pytest.approx(float(masked_cross_entropy(hidden, matrix, bias, places)[0]), rel=0.01)


class LogitRows(TorchDispatchMode):
    """How many rows each tensor with one column a term has that is made inside, in the backward pass too."""

    def __init__(self):
        super().__init__()
        self.rows = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        for tensor in made if isinstance(made, tuple | list) else (made,):
            if isinstance(tensor, torch.Tensor) and tensor.dim() >= 2 and tensor.shape[-1] == TERMS:
                self.rows.add(tensor.numel() // TERMS)
        return made


def test_logits_are_made_at_selected_positions_only(decoder):
    captions, length = 12, 9
    embedded, matrix = torch.randn(captions, length, 32, requires_grad=True), torch.randn(TERMS, 32, requires_grad=True)
    mask = torch.ones(captions, length, dtype=torch.bool)
    at = torch.zeros_like(mask)
    at[:, [2, 5]] = True  # 24 of 108 positions
    words = torch.randint(TERMS, (captions, length))
    words[0, 2] = words[3, 5] = -1
    with LogitRows() as seen:
        hidden = decoder(embedded, mask, torch.randn(captions, 32))
        total, count = masked_cross_entropy(hidden[at], matrix, torch.zeros(TERMS), words[at])
        total.backward()
    seen.rows.discard(32)  # the matrix itself, transposed (32, A)
    assert seen.rows == {22} and int(count) == 22
