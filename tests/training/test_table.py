"""The query table: the tower's answer to each piece, scaled by what the bag learned, expansions damped, max over pieces."""

import numpy as np
import pytest
import torch

from lexlip_es.lexicon import Lexicon
from lexlip_training.data import Pieces
from lexlip_training.lexlip import Architecture, LexLip
from lexlip_training.table import Table, TableSettings, TowerRows, plain_table, tower_rows, tower_table

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"word{i}" for i in range(15))]
BERT = {
    "model_type": "bert",
    "vocab_size": 20,
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 1,
    "intermediate_size": 16,
}


@pytest.fixture
def model() -> LexLip:
    made = LexLip(Architecture("test_efficientnet", 0, "all", BERT, 0, True, "shared", 8, 20), [0.5] * 3, [0.5] * 3)
    made.set_active(torch.arange(6, 14))
    with torch.no_grad():
        made.copy.fill_(2.0)
        made.decoder.copy_(torch.nn.functional.normalize(torch.randn(8, 16), dim=1))
        made.bag.theta.copy_(torch.linspace(-1, 2, 8))
    return made.eval()


def test_each_active_piece_is_asked_alone(model):
    rows = tower_rows(model, Lexicon(PIECES), 3)
    assert rows.terms.shape == rows.weights.shape == (8, 3)
    weights = model.text_weights(torch.tensor([[2, 9, 3]]), torch.ones(1, 3, dtype=torch.bool))[0].detach()
    np.testing.assert_allclose(rows.weights[9 - 6], weights.topk(3).values.numpy(), rtol=1e-5)
    assert rows.own[9 - 6] == pytest.approx(weights[9 - 6].item(), rel=1e-5)


def test_rows_are_scaled_to_the_learned_weight_and_expansions_damped(model):
    terms, weights, own = np.zeros((8, 2), np.int64), np.zeros((8, 2), np.float32), np.ones(8, np.float32)
    terms[0], weights[0], own[0] = [0, 1], [2.0, 1.0], 2.0
    terms[1], weights[1], own[1] = [3, 1], [0.4, 0.1], 0.1  # hardly says itself: its gain is bounded
    table = tower_table(model, TowerRows(terms, weights, own), TableSettings(terms=2, damping=0.5), 20)
    learned = model.bag.weights().detach().numpy()

    def row(piece):
        start, end = table.indptr[piece : piece + 2]
        return dict(zip(table.terms[start:end].tolist(), table.weights[start:end].tolist(), strict=True))

    assert row(6) == pytest.approx({0: learned[0], 1: learned[0] / 2.0 * 0.5})
    assert row(7) == pytest.approx({3: learned[1] / 0.3 * 0.4 * 0.5, 1: learned[1] / 0.3 * 0.1})
    assert row(2) == row(3) == row(8) == row(19) == {}


def test_a_query_is_the_maximum_over_its_pieces_rows():
    empty = (np.empty(0, np.int32), np.empty(0, np.float32))
    table = Table.from_rows([empty, (np.array([0, 2]), np.array([1.0, 0.2])), (np.array([2]), np.array([0.5]))])
    pieces = Pieces(np.array([0, 1, 2, 1, 0], np.int32), np.array([0, 4, 5]))
    assert table.encode(pieces, 3).tolist() == [[1.0, 0.0, 0.5], [0.0, 0.0, 0.0]]


def test_the_plain_table_is_the_bag(model):
    table = plain_table(model, 20)
    ids = np.array([2, 7, 7, 12, 18, 3], np.int32)
    bag = model.bag_weights(torch.from_numpy(ids.astype(np.int64))[None])
    torch.testing.assert_close(table.encode(Pieces(ids, np.array([0, 6])), 8), bag.detach())
