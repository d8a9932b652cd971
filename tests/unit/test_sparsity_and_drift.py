import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexlip_es.drift import SUSPICIOUS_WORDS, Drift, TermShare, kind_of
from lexlip_es.lexicon import Lexicon
from lexlip_es.sparsity import Sparsity, flops
from lexlip_es.weights import SparseWeights

LEXICON = Lexicon(["[PAD]", "[unused0]", "the", "a", "x", "##x", ".", "dog", "##dog", "##the"])
rows = st.lists(st.sets(st.integers(0, 9)), min_size=1, max_size=6)


def batch(sets: list[set[int]]) -> SparseWeights:
    return SparseWeights.from_rows([(sorted(terms), [1.0] * len(terms)) for terms in sets])


@given(rows, rows)
def test_flops_is_the_mean_number_of_shared_terms_over_all_pairs(queries: list[set[int]], documents: list[set[int]]) -> None:
    shared = [len(query & document) for query in queries for document in documents]
    assert flops(batch(queries), batch(documents)) == pytest.approx(np.mean(shared))


def test_non_zeros_are_means_over_pictures_and_texts_empty_ones_included() -> None:
    assert Sparsity.of(batch([{1, 2, 3}, set()]), batch([{1, 2}])) == Sparsity(1.5, 2.0, 1.0)


def test_a_term_is_of_the_first_kind_that_fits() -> None:
    kinds = [kind_of(term, LEXICON) for term in range(len(LEXICON))]
    one, none = "one_character", None
    assert kinds == ["special", "unused", "stop_word", "stop_word", one, one, one, none, none, none]


def test_words_of_those_kinds_are_told_by_one_expression_that_engines_take(starter_lexicon: Lexicon) -> None:
    told = {term for term in range(len(starter_lexicon)) if re.fullmatch(SUSPICIOUS_WORDS, starter_lexicon.word(term))}
    kinds = {term for term in range(len(starter_lexicon)) if kind_of(term, starter_lexicon)}
    assert kinds <= told and all(starter_lexicon.pieces[term][:2] == "##" for term in told - kinds)
    assert len(SUSPICIOUS_WORDS) <= 1000  # `index.max_regex_length`


def test_only_what_many_pictures_carry_is_drift() -> None:
    pictures = batch([{0, 2, 7}, {2, 7}, {2, 5}, {7}])
    drift = Drift.of(pictures, LEXICON, high_share=0.5)
    assert drift.suspicious == {"special": [], "unused": [], "stop_word": [TermShare("the", 0.75)], "one_character": []}
    assert drift.most_carried == [
        TermShare("the", 0.75),
        TermShare("dog", 0.75),
        TermShare("[PAD]", 0.25),
        TermShare("##x", 0.25),
    ]
    assert drift.to_json()["stop_word"] == {"the": 0.75}
    assert drift.to_json()["high_share"] == 0.5


def test_a_model_without_terms_has_no_drift() -> None:
    assert Drift.of(batch([set(), set()]), LEXICON).most_carried == []
