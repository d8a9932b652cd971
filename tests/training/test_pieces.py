"""Active pieces: captions, ImageNet names, near neighbours; never special or unused ones."""

import numpy as np
import pytest
import torch

from lexlip_es.lexicon import Lexicon
from lexlip_training.pieces import active_pieces, centred, imagenet_pieces, near_neighbours, speakable
from lexlip_training.starter_weights import minilm_folder

TOKENIZER = minilm_folder() / "tokenizer.json"


@pytest.fixture(scope="module")
def lexicon() -> Lexicon:
    return Lexicon.from_tokenizer(TOKENIZER)


def test_imagenet_names_are_whole_words(lexicon):
    found = {lexicon.pieces[i] for i in imagenet_pieces(lexicon, TOKENIZER)}
    assert {"pizza", "ambulance", "shark"} <= found and not any(piece.startswith("##") for piece in found)
    assert "of" not in found


def test_special_and_unused_pieces_are_silent(lexicon):
    spoken = speakable(lexicon)
    assert not spoken[[lexicon.piece_id(piece) for piece in ("[CLS]", "[SEP]", "[unused5]")]].any()
    assert spoken[lexicon.piece_id("dog")] and spoken[lexicon.piece_id("##s")]


def test_centred_embeddings_have_unit_norm_and_no_common_part():
    small = Lexicon(["[PAD]", "a", "b", "c"])
    raw = torch.tensor([[9.0, 9.0], [1.0, 0.0], [0.0, 1.0], [2.0, 2.0]])
    unit = centred(raw, small)
    mean = raw[1:].mean(0)
    torch.testing.assert_close(unit[1], (raw[1] - mean) / (raw[1] - mean).norm())


def test_neighbours_are_alphabetic_near_and_not_the_piece_itself():
    small = Lexicon(["dog", "puppy", "##og", "cat", "x1"])
    directions = torch.nn.functional.normalize(torch.tensor([[1.0, 0], [1, 0.1], [1, 0.05], [0, 1], [1, 0.02]]), dim=1)
    assert near_neighbours(np.array([0]), directions, small, 0.5, 2).tolist() == [1]
    assert near_neighbours(np.array([0]), directions, small, 0.5, 0).tolist() == []


def test_active_pieces_are_the_union_in_ascending_order(lexicon):
    counts = np.zeros(len(lexicon), np.int64)
    rare = lexicon.piece_id("zydeco") or lexicon.piece_id("##oni")
    counts[[rare, lexicon.piece_id("[CLS]")]] = 1
    active = active_pieces(counts, lexicon, TOKENIZER, torch.eye(len(lexicon), 4), 2.0, 1)
    assert rare in active and lexicon.piece_id("pizza") in active and lexicon.piece_id("[CLS]") not in active
    assert (np.diff(active) > 0).all()
