from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexlip_es.errors import LexlipError
from lexlip_es.lexicon import Lexicon, feature_name, piece_of


@given(st.text(min_size=1))
def test_any_piece_comes_back_from_its_name(piece: str) -> None:
    assert piece_of(feature_name(piece)) == piece


@given(st.text(min_size=1))
def test_a_name_has_no_dot_no_space_and_is_never_empty(piece: str) -> None:
    name = feature_name(piece)
    assert name
    assert "." not in name
    assert not any(letter.isspace() for letter in name)


@given(st.lists(st.text(min_size=1), unique=True))
def test_different_pieces_have_different_names(pieces: list[str]) -> None:
    assert len({feature_name(piece) for piece in pieces}) == len(pieces)


def test_the_whole_bert_vocabulary_is_reversible(starter_lexicon: Lexicon) -> None:
    assert len(starter_lexicon) == 30_522
    names = starter_lexicon.names(range(len(starter_lexicon)))
    assert [starter_lexicon.id(name) for name in names] == list(range(len(starter_lexicon)))
    assert len(set(names)) == len(names)
    assert not any("." in name for name in names)


def test_ordinary_words_keep_their_spelling_so_that_dev_tools_stays_readable(starter_lexicon: Lexicon) -> None:
    changed = [piece for piece in starter_lexicon.pieces if feature_name(piece) != piece]
    assert changed == ["%", ".", "...", "##%", "##."]


def test_special_and_unused_entries_are_flagged(starter_lexicon: Lexicon) -> None:
    special = [piece for piece, flag in zip(starter_lexicon.pieces, starter_lexicon.is_special, strict=True) if flag]
    assert sorted(special) == ["[CLS]", "[MASK]", "[PAD]", "[SEP]", "[UNK]"]
    assert starter_lexicon.is_unused.sum() == 994
    assert not starter_lexicon.is_unused[starter_lexicon.piece_id("dog") or 0]


def test_words_are_read_without_the_mark_of_a_continuation() -> None:
    lexicon = Lexicon(["dog", "##dog", "##", "#"])
    assert [lexicon.word(term) for term in range(4)] == ["dog", "dog", "##", "#"]


def test_the_hash_tells_vocabularies_and_orders_apart() -> None:
    assert Lexicon(["a", "b"]).hash == Lexicon(["a", "b"]).hash != Lexicon(["b", "a"]).hash


def test_a_repeated_or_empty_piece_is_refused() -> None:
    for pieces in (["a", "a"], ["a", ""]):
        with pytest.raises(LexlipError, match="tokenizer"):
            Lexicon(pieces)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{}",
        '{"model": {"type": "BPE", "vocab": {}}}',
        '{"model": {"type": "WordPiece", "vocab": {"a": 0, "b": 2}}}',
    ],
)
def test_a_file_that_is_no_wordpiece_tokenizer_is_refused_by_name(tmp_path: Path, content: str) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(content)
    with pytest.raises(LexlipError, match=r"tokenizer\.json"):
        Lexicon.from_tokenizer(path)
