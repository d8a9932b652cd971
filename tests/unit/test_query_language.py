"""The query language: what is syntax, what is plain text, and that nothing is ever an error."""

import doctest

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lexlip_es import hybrid, query_filters, query_language
from lexlip_es.query_language import ParsedQuery, parse

words = st.text(st.characters(categories=("L", "N")), min_size=1, max_size=8)
signs = st.sampled_from('^+-":.,/\\<>= \n0129aéç日') | st.sampled_from(["taken:", "tag:", "like:", "dog", "2024", ".."])
anything = st.text() | st.lists(signs, max_size=30).map("".join)


@pytest.mark.parametrize("module", [query_language, query_filters, hybrid])
def test_documented_examples_do_what_they_say(module: object) -> None:
    outcome = doctest.testmod(module)  # type: ignore[arg-type]
    assert outcome.attempted and not outcome.failed


@given(anything)
def test_every_text_means_something_and_literally_itself(text: str) -> None:
    assert parse(text, literal=True) == ParsedQuery(text)
    parsed = parse(text)
    assert all(0 < factor <= 1_000 and not parsed.text[start].isspace() for start, factor in parsed.boosts)
    kept = "".join(parsed.text.split())
    left = iter("".join(text.split()))
    assert all(sign in left for sign in kept)  # nothing is invented, nothing changes places


@given(st.text(st.characters(exclude_characters='^+-":')))
@example("dogs, cats & birds (2024..2025) > 3.5")
def test_a_text_without_signs_of_the_language_is_itself(text: str) -> None:
    assert parse(text) == ParsedQuery(text)


@pytest.mark.parametrize(
    "text",
    [
        "t-shirt", "a dog - on a beach", "+", "-", "^", "- dog", "-- dog", "->", "^2", "-^2", '"', 'a 6" nail', '"stray', '""',
        '" "', '"-"', '"a"b', "dog^", "dog^0", "dog^-1", "dog^1e3", "dog^1001", "dog^2x", "-dog^2", "C:\\photos", "http://dog",
        "size:big", "-size:big", "a:b", "tag:", "-like:x", "like:", "taken:then", "taken:2024-13", "taken:0000", "taken:9999",
        "taken:..", "taken:2024..then", "taken:>", "taken:>..2024", "taken:2023-02-29", "taken:٢٠٢٤", "width:wide", "width:-5",
        "width:1.5", "width:9999999999", "folder:/",
    ],
)  # fmt: skip
def test_what_is_no_syntax_is_plain_text(text: str) -> None:
    for whole in (text, f"a {text}", f"{text} b"):
        assert parse(whole) == ParsedQuery(whole)


@given(words, st.floats(0.01, 1_000).map(lambda factor: f"{factor:.2f}"))
def test_a_boosted_word_stays_where_it_stands(word: str, factor: str) -> None:
    assert parse(f"a -cat {word}^{factor}, b") == ParsedQuery(f"a {word}, b", boosts=((2, float(factor)),), banned=("cat",))


@given(words, words)
def test_words_and_phrases_are_demanded_banned_or_sent_as_they_are(one: str, other: str) -> None:
    assert parse(f"+{one}") == ParsedQuery("", demanded=(one,))
    assert parse(f"-{one}, b") == ParsedQuery("b", banned=(one,))
    assert parse(f'a "{one} {other}" b') == ParsedQuery("a b", phrases=(f"{one} {other}",))
    assert parse(f'-"{one} {other}" +"{one}"') == ParsedQuery("", banned=(f"{one} {other}",), demanded=(one,))


def test_a_word_with_a_hyphen_or_an_apostrophe_is_one_word() -> None:
    assert parse("+t-shirt -o'clock").demanded == ("t-shirt",)
    assert parse("+t-shirt -o'clock").banned == ("o'clock",)


@pytest.mark.parametrize(
    ("typed", "bounds"),
    [
        ("2024", {"gte": "2024-01-01", "lt": "2025-01-01"}),
        ("2024-12", {"gte": "2024-12-01", "lt": "2025-01-01"}),
        ("2024-02-29", {"gte": "2024-02-29", "lt": "2024-03-01"}),
        ("2024-05..2025", {"gte": "2024-05-01", "lt": "2026-01-01"}),
        ("2024..", {"gte": "2024-01-01"}),
        ("..2024", {"lt": "2025-01-01"}),
        (">2024", {"gte": "2025-01-01"}),
        (">=2024", {"gte": "2024-01-01"}),
        ("<2024-05", {"lt": "2024-05-01"}),
        ("<=2024-05", {"lt": "2024-06-01"}),
    ],
)
def test_times_are_whole_years_months_or_days(typed: str, bounds: dict[str, str]) -> None:
    assert parse(f"taken:{typed}") == ParsedQuery("", filters=({"range": {"taken_at": bounds}},))


def test_sizes_are_whole_numbers() -> None:
    for typed, bounds in {"0": {"gte": 0, "lt": 1}, ">2000": {"gte": 2001}, "1000..2000": {"gte": 1000, "lt": 2001}}.items():
        assert parse(f"height:{typed}").filters == ({"range": {"height": bounds}},)


def test_names_of_places_and_things_may_be_quoted_negated_and_hold_signs() -> None:
    tag = {"term": {"tags": {"value": "two words", "case_insensitive": True}}}
    assert parse('a -tag:"two words" b') == ParsedQuery("a b", filters=({"bool": {"must_not": tag}},))
    assert parse('folder:"my photos/2024/"').filters == ({"term": {"folder": "my photos/2024"}},)
    assert parse(r"camera:X*\?").filters == ({"wildcard": {"camera": {"value": r"*X\*\\\?*", "case_insensitive": True}}},)
    assert parse("tag:\ud83d").filters == ({"term": {"tags": {"value": "?", "case_insensitive": True}}},)
    assert parse('like:"a b.jpg" like:c.jpg dog') == ParsedQuery("dog", likes=("a b.jpg", "c.jpg"))
