"""Whole-word masking: which pieces are selected, and what becomes of them."""

import pickle
from collections import Counter

import numpy as np
import pytest

from lexlip_es.errors import LexlipError
from lexlip_es.lexicon import Lexicon
from lexlip_training.masking import WholeWordMasker

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
UNUSED = ["[unused0]", "[unused1]"]
WORDS = ["a", "dog", "skate", "##board", "##er", "on", "the", "beach", "runs", "red"]
LEXICON = Lexicon([*SPECIAL, *UNUSED, *WORDS])
MASK = LEXICON.piece_id("[MASK]")


@pytest.fixture(scope="module")
def masker():
    return WholeWordMasker(LEXICON)


def ids(text, padding=0):
    pieces = ["[CLS]", *text.split(), "[SEP]", *["[PAD]"] * padding]
    return np.array([LEXICON.piece_id(piece) for piece in pieces], np.int32)


def selections(masker, caption, share, draws=300):
    return [masker.mask(caption, share, np.random.default_rng(seed))[1] for seed in range(draws)]


def test_pieces_belong_to_the_word_before(masker):
    assert masker.words(ids("a skate ##board ##er runs")) == [[1], [2, 3, 4], [5]]


def test_a_continuation_after_a_special_piece_is_a_word(masker):
    assert masker.words(ids("##er [UNK] ##board dog")) == [[1], [3], [4]]


def test_a_word_is_hidden_whole_or_not_at_all(masker):
    found = selections(masker, ids("a skate ##board ##er runs on the beach"), 0.5)
    assert {tuple(selected[2:5]) for selected in found} == {(True,) * 3, (False,) * 3}


@pytest.mark.parametrize(("share", "budget"), [(0.3, 3), (0.5, 5), (0.05, 1), (0.0, 1), (1.0, 10)])
def test_the_budget_is_a_share_of_the_real_pieces(masker, share, budget):
    caption = ids("a red dog runs on the beach a red dog", padding=30)
    assert {int(selected.sum()) for selected in selections(masker, caption, share, 50)} == {budget}


def test_padding_changes_nothing(masker):
    short, padded = ids("a red skate ##board runs on the beach"), ids("a red skate ##board runs on the beach", padding=25)
    for seed in range(50):
        hidden, selected = masker.mask(short, 0.3, np.random.default_rng(seed))
        hidden_padded, selected_padded = masker.mask(padded, 0.3, np.random.default_rng(seed))
        assert (hidden_padded[: len(short)] == hidden).all() and (selected_padded[: len(short)] == selected).all()
        assert not selected_padded[len(short) :].any() and (hidden_padded[len(short) :] == 0).all()


def test_special_pieces_are_never_selected(masker):
    caption = ids("a [UNK] dog", padding=2)
    assert all(not selected[[0, 2, 4, 5, 6]].any() for selected in selections(masker, caption, 1.0, 50))


def test_a_word_beyond_the_budget_is_passed_over(masker):
    for selected in selections(masker, ids("skate ##board ##er runs on a"), 0.3):  # 2 of 6 pieces
        assert not selected[1:4].any() and selected.sum() == 2


def test_one_word_is_selected_even_if_all_exceed_the_budget(masker):
    found = selections(masker, ids("skate ##board ##er skate ##board dog ##er"), 0.1)  # budget 1
    assert {tuple(np.flatnonzero(selected)) for selected in found} == {(4, 5), (6, 7)}


@pytest.mark.parametrize("text", ["", "[UNK]", "[UNK] [UNK]"])
def test_a_caption_without_real_pieces_stays_as_it_is(masker, text):
    hidden, selected = masker.mask(ids(text), 0.5, np.random.default_rng(0))
    assert not selected.any() and (hidden == ids(text)).all()


def test_every_word_is_selected_equally_often(masker):
    times = np.sum(selections(masker, ids("a dog runs on the red beach"), 0.3, 3000), axis=0)[1:-1] / 3000
    assert np.abs(times - 2 / 7).max() < 0.04


def test_eighty_ten_ten(masker):
    caption, counts, put = ids("dog " * 50), Counter(), Counter()
    for seed in range(400):
        hidden, selected = masker.mask(caption, 0.5, np.random.default_rng(seed))
        assert (hidden[~selected] == caption[~selected]).all()
        for piece in hidden[selected]:
            counts["masked" if piece == MASK else "dog" if piece == caption[1] else "other"] += 1
            put[int(piece)] += 1
    total = sum(counts.values())  # 10,000
    by_chance = 0.1 / len(WORDS)  # of the random pieces, some are the piece itself
    assert counts["masked"] / total == pytest.approx(0.8, abs=0.02)
    assert counts["other"] / total == pytest.approx(0.1 - by_chance, abs=0.015)
    assert counts["dog"] / total == pytest.approx(0.1 + by_chance, abs=0.015)
    ordinary = {LEXICON.piece_id(word) for word in WORDS}
    assert set(put) == ordinary | {MASK}, "every ordinary piece is put in, no special or unused one"


def test_the_generator_alone_decides(masker):
    caption = ids("a red dog runs on the beach")
    before = caption.copy()
    same = [masker.mask(caption, 0.5, np.random.default_rng(7)) for _ in range(2)]
    same.append(pickle.loads(pickle.dumps(masker)).mask(caption, 0.5, np.random.default_rng(7)))  # as data workers have it
    assert all((hidden == same[0][0]).all() and (selected == same[0][1]).all() for hidden, selected in same)
    assert len({selected.tobytes() for selected in selections(masker, caption, 0.5, 20)}) > 5
    assert (caption == before).all() and same[0][0].dtype == np.int32 and same[0][1].dtype == np.bool_


def test_a_vocabulary_without_mask_is_refused():
    with pytest.raises(LexlipError, match=r"\[MASK\]"):
        WholeWordMasker(Lexicon(["[PAD]", "[CLS]", "a"]))
