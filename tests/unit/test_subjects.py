"""What is looked for, encoded: the weights, and which typed word brought which term."""

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lexlip_es.encoders import Encoder, load_encoder
from lexlip_es.errors import UsageError
from lexlip_es.model_folder import ModelFolder
from lexlip_es.subjects import WHOLE_SENTENCE, Subject


@pytest.fixture(scope="module", params=["table", "tower"])
def encoder(request: pytest.FixtureRequest, starter: ModelFolder) -> Encoder:
    return load_encoder(starter, text=request.param)


def brought(encoder: Encoder, subject: Subject) -> dict[str, str]:
    """Piece -> what brought it."""
    lexicon = encoder.model.lexicon
    return {lexicon.pieces[term]: by for term, by in zip(subject.row[0].tolist(), subject.brought_by, strict=True)}


def test_every_term_says_the_word_that_brought_it_as_it_was_typed(encoder: Encoder) -> None:
    found = brought(encoder, Subject.of(encoder, "(Café,) with a Skateboarder; a T-shirt!"))
    assert set(found.values()) <= {"Café", "with", "a", "Skateboarder", "T-shirt", WHOLE_SENTENCE}
    assert found["cafe"] == "Café" and found["skate"] == "Skateboarder" and found["shirt"] == "T-shirt"
    assert brought(encoder, Subject.of(encoder, "(cafe\u0301)"))["cafe"] == "cafe\u0301"  # an accent of its own, as Macs write it


def test_words_beyond_what_the_model_reads_bring_nothing_and_do_no_harm(encoder: Encoder) -> None:
    subject = Subject.of(encoder, "dog " * 1_000 + "beach")
    assert set(brought(encoder, subject).values()) <= {"dog", WHOLE_SENTENCE}
    assert set(subject.text.split()) == {"dog"}
    (phrase,) = Subject.of(encoder, f'"{"dog " * 1_000}beach"').phrases
    assert phrase == subject.text


def test_signs_of_any_script_do_not_move_the_words(encoder: Encoder) -> None:
    assert brought(encoder, Subject.of(encoder, "\ud83d 😀 é日本 dog"))["dog"] == "dog"


def weights(subject: Subject) -> dict[int, float]:
    return dict(zip(subject.row[0].tolist(), subject.row[1].tolist(), strict=True))


def test_a_boost_multiplies_exactly_the_terms_that_its_word_won(encoder: Encoder) -> None:
    sentence = "a dog runs on a beach"
    plain = Subject.of(encoder, sentence)
    boosted = Subject.of(encoder, "a dog runs^1.7 on a beach^0.3")
    factors = {"runs": 1.7, "beach": 0.3}
    expected = {
        term: float(np.float32(weight * factors.get(by, 1.0)))
        for (term, weight), by in zip(weights(plain).items(), plain.brought_by, strict=True)
    }
    assert weights(boosted) == expected
    assert {"runs", "beach"} <= set(plain.brought_by)
    assert sorted(boosted.row[1].tolist(), reverse=True) == boosted.row[1].tolist()
    assert boosted.text == sentence


def test_of_two_equal_words_only_the_boosted_one_is_boosted(encoder: Encoder) -> None:
    plain, boosted = weights(Subject.of(encoder, "dog dog")), weights(Subject.of(encoder, "dog dog^1000"))
    for term, weight in plain.items():
        assert boosted[term] in (weight, float(np.float32(1000 * weight)))


def test_a_phrase_sends_its_pieces_and_no_others(encoder: Encoder) -> None:
    lexicon = encoder.model.lexicon
    phrase = Subject.of(encoder, '"red skateboarders"')
    pieces = ["red", "skate", "##board", "##ers"]
    assert {lexicon.pieces[term] for term in weights(phrase)} == set(pieces)
    assert brought(encoder, phrase) == {"red": '"red"', **dict.fromkeys(pieces[1:], '"skateboarders"')}
    of_encoder = dict(zip(*encoder.encode_texts(["red skateboarders"]).row(0), strict=True))
    assert weights(phrase) == {term: float(of_encoder.get(term, 1.0)) for term in weights(phrase)}


def test_a_phrase_beside_a_sentence_is_pooled_with_it_by_the_maximum(encoder: Encoder) -> None:
    sentence, phrase = Subject.of(encoder, "a dog in a car"), Subject.of(encoder, '"red car"')
    both = Subject.of(encoder, 'a dog in a car "red car"')
    expected = weights(sentence)
    for term, weight in weights(phrase).items():
        expected[term] = max(expected.get(term, 0.0), weight)
    assert weights(both) == expected


def test_a_picture_is_added_at_the_length_of_what_is_there(encoder: Encoder) -> None:
    words = Subject.of(encoder, "dog beach")
    first = int(words.row[0][0])
    picture = (np.array([first, 7], np.int32), np.array([0.6, 0.8], np.float32))
    both = words.with_picture(picture, "a.jpg")
    length = float(np.linalg.norm(words.row[1]))
    assert weights(both)[7] == pytest.approx(0.8 * length)
    assert weights(both)[first] == pytest.approx(weights(words)[first] + 0.6 * length)
    assert dict(zip(both.row[0].tolist(), both.brought_by, strict=True))[7] == "like:a.jpg"
    alone = Subject.of(encoder, "like:a.jpg").with_picture(picture, "a.jpg")
    assert (weights(alone), alone.brought_by) == ({first: np.float32(0.6), 7: np.float32(0.8)}, ("like:a.jpg",) * 2)


def test_demands_bans_and_filters_leave_the_terms_alone(encoder: Encoder) -> None:
    lexicon = encoder.model.lexicon
    asked = Subject.of(encoder, 'a dog +beach -"skateboarders ball" tag:x')
    assert weights(asked) == weights(Subject.of(encoder, "a dog"))
    assert [[lexicon.pieces[term] for term in word] for word in (*asked.demanded, *asked.banned)] == [
        ["beach"],
        ["skate", "##board", "##ers", "ball"],
    ]
    assert Subject.of(encoder, '+"red, car!"').demanded == Subject.of(encoder, '+"red car"').demanded  # no picture has a comma
    only = Subject.of(encoder, "-leash")
    assert (weights(only), only.text) == ({}, "") and only.banned


@pytest.mark.parametrize("nothing", ["", " \n", "\u2028"])
def test_a_query_of_nothing_is_refused(encoder: Encoder, nothing: str) -> None:
    with pytest.raises(UsageError, match="the query is empty"):
        Subject.of(encoder, nothing)


def test_words_that_the_model_does_not_know_are_enough_where_texts_are_asked_too(starter: ModelFolder) -> None:
    encoder = load_encoder(starter)
    for unknown in ("of the", "\U0001f996"):
        with pytest.raises(UsageError, match="has no word that this model knows"):
            Subject.of(encoder, unknown)
        asked = Subject.of(encoder, unknown, hybrid=True)
        assert (weights(asked), asked.text) == ({}, unknown)
    assert Subject.of(encoder, '"ᚠ"', hybrid=True).phrases == ("ᚠ",)
    with pytest.raises(UsageError, match="the query is empty"):
        Subject.of(encoder, " ", hybrid=True)


@settings(max_examples=50)
@given(st.text() | st.lists(st.sampled_from(['"', "+", "-", "^", "2", " ", "dog", "é", "\x1c", "tag:", "\ud83d"])).map("".join))
def test_any_text_is_a_subject_or_refused_with_the_remedy(encoder: Encoder, text: str) -> None:
    with suppress(UsageError):
        subject = Subject.of(encoder, text)
        assert len(subject.row[0]) == len(subject.brought_by)
