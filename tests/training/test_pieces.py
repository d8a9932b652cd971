"""Active pieces: captions, ImageNet names, near neighbours; never special or unused ones."""

import numpy as np
import pytest
import torch

from lexlip_es.lexicon import Lexicon
from lexlip_training.checkpoint import load_checkpoint
from lexlip_training.lexlip import without_terms
from lexlip_training.pieces import active_pieces, centred, function_words, imagenet_pieces, near_neighbours, speakable
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


def test_function_words_name_nothing_to_be_seen_and_words_of_place_are_not_among_them(lexicon):
    dropped = {lexicon.pieces[i] for i in np.flatnonzero(function_words(lexicon))}
    assert {"the", "of", "is", ".", "##s", "-"} <= dropped
    assert not {"in", "on", "under", "between", "dog", "##ing"[2:], "5", "x", "日"} & dropped


def test_a_model_without_some_terms_says_the_others_as_before(tiny_run):
    model = load_checkpoint(tiny_run[1])
    silent = torch.zeros(model.architecture.vocabulary, dtype=torch.bool)
    silent[model.active[::3]] = True
    smaller = without_terms(model, silent)
    kept = ~silent[model.active]
    assert smaller.active.tolist() == model.active[kept].tolist()
    pixels = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8)
    torch.testing.assert_close(smaller.picture_weights(pixels), model.picture_weights(pixels)[:, kept])
    ids = model.active[kept][None, :6]
    torch.testing.assert_close(smaller.bag_weights(ids), model.bag_weights(ids)[:, kept])
    mask = torch.ones_like(ids, dtype=torch.bool)
    torch.testing.assert_close(smaller.text_weights(ids, mask), model.text_weights(ids, mask)[:, kept])
