"""Which hits are too far from the query to be shown."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexlip_es.relevance import LEAST_SHARE, best_score, least_score
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


def test_the_higher_of_both_bounds_counts() -> None:
    row = batch({1: 3.0, 2: 4.0}).row(0)
    assert least_score(row) == 0.0
    assert least_score(row, min_score=0.7) == 0.7
    assert least_score(row, cut_off=True) == least_score(row, min_score=0.1, cut_off=True) == pytest.approx(5 * LEAST_SHARE)
    assert least_score(row, min_score=2.0, cut_off=True) == 2.0
    nothing = SparseWeights.from_rows([([], [])]).row(0)
    assert least_score(nothing, cut_off=True) == 0.0


def test_a_boost_of_the_whole_query_hides_nothing_more() -> None:
    terms, weights = batch({1: 3.0, 2: 4.0}).row(0)
    assert least_score((terms, 8 * weights), cut_off=True) == 8 * least_score((terms, weights), cut_off=True)
    assert best_score((terms, np.float32(0.5) * weights)) == 2.5
