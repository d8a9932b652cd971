"""Which hits are too far from the query to be shown."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lexlip_es.relevance import LEAST_SHARE, best_score, shown
from lexlip_es.weights import SparseWeights, prepare_documents, reference_scores

rows = st.dictionaries(st.integers(0, 20), st.floats(2**-10, 2**6, width=32), min_size=1, max_size=20)


def batch(row: dict[int, float]) -> SparseWeights:
    return SparseWeights.from_rows([(list(row), list(row.values()))])


@given(rows, rows)
def test_no_picture_scores_more_than_the_best_score_and_the_one_that_fits_scores_nearly_that(
    query: dict[int, float], picture: dict[int, float]
) -> None:
    best = best_score(batch(query).row(0))
    assert reference_scores(batch(query), prepare_documents(batch(picture), 64))[0, 0] <= best * 1.000001
    assert reference_scores(batch(query), prepare_documents(batch(query), 64))[0, 0] >= best * 0.99


def test_hits_below_either_bound_are_hidden_and_only_the_cut_off_explains_itself() -> None:
    row, scores = batch({1: 3.0, 2: 4.0}).row(0), [5.0, 0.7, 5 * LEAST_SHARE, 0.5]
    assert shown(scores, row) == (4, [])
    assert shown(scores, row, min_score=0.7) == (2, [])
    kept, (why,) = shown(scores, row, min_score=0.1, cut_off=True)
    assert kept == 3 and why.startswith(f"1 of the 4 best hits are hidden: they score less than {5 * LEAST_SHARE:.3f}, 12% of")
    assert shown(scores, row, min_score=1.0, cut_off=True) == (1, [])
    assert shown([], row, cut_off=True) == (0, [])
    nothing = SparseWeights.from_rows([([], [])]).row(0)
    assert shown(scores, nothing, cut_off=True) == (4, [])


@given(st.lists(st.floats(0, 10, width=32)), rows, st.sampled_from([0.25, 4.0]))
def test_a_boost_of_the_whole_query_hides_the_same(scores: list[float], row: dict[int, float], boost: float) -> None:
    ranked = sorted(scores, reverse=True)
    terms, weights = batch(row).row(0)
    boosted = shown([boost * score for score in ranked], (terms, np.float32(boost) * weights), cut_off=True)
    assert boosted[0] == shown(ranked, (terms, weights), cut_off=True)[0]
