"""What is looked for, encoded: which typed word brought which term."""

import pytest

from lexlip_es.encoders import Encoder, load_encoder
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
    found = brought(encoder, Subject.of(encoder, '"Café," with a Skateboarder; a T-shirt!'))
    assert set(found.values()) <= {"Café", "with", "a", "Skateboarder", "T-shirt", WHOLE_SENTENCE}
    assert found["cafe"] == "Café" and found["skate"] == "Skateboarder" and found["shirt"] == "T-shirt"


def test_words_beyond_what_the_model_reads_bring_nothing_and_do_no_harm(encoder: Encoder) -> None:
    subject = Subject.of(encoder, "dog " * 1_000 + "beach")
    assert set(brought(encoder, subject).values()) <= {"dog", WHOLE_SENTENCE}


def test_signs_of_any_script_do_not_move_the_words(encoder: Encoder) -> None:
    assert brought(encoder, Subject.of(encoder, "\ud83d 😀 é日本 dog"))["dog"] == "dog"
