"""Why a hit is one, in words that people read."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexlip_es.queries import Hit, TermShare, TextShare
from lexlip_es.why import explained_json, reasons

WORDS = ["dog", "Skateboarder", "skateboarders'", "Café-dog", '"skateboarder"', "whole sentence", "like:a/dog.jpg", ""]
PIECES = ["dog", "skate", "##board", "##er", "##ers", "cafe", "beach"]


def share(piece: str, contribution: float, by: str) -> TermShare:
    return TermShare(piece.removeprefix("##"), piece, 1.0, contribution, contribution, by)


def hit(terms: list[TermShare], texts: list[TextShare] | None = None) -> Hit:
    return Hit(
        "1",
        "a.jpg",
        float(np.float32(sum([one.contribution for one in terms] + [one.contribution for one in texts or []]))),
        terms,
        texts=texts or [],
    )


def readable(*shares: TermShare) -> list[tuple[str, list[str]]]:
    """Each reason's word, and its terms."""
    return [(reason.word, [term.term for term in reason.terms]) for reason in reasons(hit(list(shares)))]


def test_words_come_heaviest_first_each_with_what_it_brought() -> None:
    found = readable(share("dog", 0.5, "dog"), share("sand", 0.4, "beach"), share("beach", 0.3, "beach"))
    assert found == [("beach", ["sand", "beach"]), ("dog", ["dog"])]


@pytest.mark.parametrize("typed", ["Skateboarder", "skateboarder's", '"SKATEBOARDER"', "in-line-skateboarder"])
def test_the_pieces_of_a_typed_word_are_read_as_the_word(typed: str) -> None:
    found = readable(
        share("skate", 0.5, typed), share("##er", 0.1, typed), share("##board", 0.3, typed), share("boy", 0.2, typed)
    )
    assert found == [(typed, ["skateboarder", "boy"])]
    (reason,) = reasons(hit([share("skate", 0.5, "Skáteboard"), share("##board", 0.25, "Skáteboard")]))
    assert (reason.terms[0].term, reason.terms[0].contribution) == ("skateboard", 0.75)


def test_a_piece_of_a_word_that_is_not_all_there_stays_what_it_is() -> None:
    by = "skateboarder"
    assert readable(share("skate", 0.5, by), share("##board", 0.25, by)) == [(by, ["skate", "##board"])]
    apart = readable(share("skate", 0.5, by), share("##board", 0.25, by), share("##er", 0.125, "whole sentence"))
    assert apart == [(by, ["skate", "##board"]), ("whole sentence", ["##er"])]


def test_what_texts_gave_is_a_reason_of_its_own() -> None:
    found = reasons(hit([share("dog", 0.5, "dog")], [TextShare("caption", 0.75), TextShare("name", 0.25)]))
    assert [(reason.word, reason.contribution) for reason in found] == [
        ("caption (BM25)", 0.75),
        ("dog", 0.5),
        ("name (BM25)", 0.25),
    ]


def test_json_names_the_pieces_of_each_readable_term() -> None:
    said = explained_json(hit([share("skate", 0.5, "skateboard"), share("##board", 0.25, "skateboard")]))
    pieces = {"term": "skateboard", "contribution": 0.75, "pieces": ["skate", "##board"]}
    assert said["reasons"] == [{"word": "skateboard", "contribution": 0.75, "terms": [pieces]}]
    assert [term["piece"] for term in said["terms"]] == ["skate", "##board"]


def test_a_word_of_any_length_is_read_at_once() -> None:
    for typed in ("a" * 1_000_000, "a_" * 500_000, "a" * 1_000_000 + "-dog"):
        assert readable(share("dog", 0.5, typed)) == [(typed, ["dog"])]


weights = st.floats(2**-10, 2**4, width=32)


@given(
    st.dictionaries(st.sampled_from(PIECES), st.tuples(weights, st.sampled_from(WORDS)), max_size=7),
    st.dictionaries(st.sampled_from(["caption", "tags", "name"]), weights, max_size=3),
)
def test_reasons_hold_every_share_once_and_add_up_to_the_score(
    terms: dict[str, tuple[float, str]], texts: dict[str, float]
) -> None:
    made = hit([share(piece, *given) for piece, given in terms.items()], [TextShare(*text) for text in texts.items()])
    found = reasons(made)
    assert np.float32(sum(reason.contribution for reason in found)) == np.float32(made.score)
    inside = [share for reason in found for term in reason.terms for share in term.shares]
    assert sorted(share.piece for share in inside) == sorted(terms)
    assert all(share.brought_by == reason.word for reason in found for term in reason.terms for share in term.shares)
