"""Other ways to store weights keep what they say they keep."""

import numpy as np
import pytest

from benchmarks.versus.storing import bisected, by_heaviest_term, quantised, raised, scaled, smallest_shift, without_light
from lexlip_es.weights import SparseWeights, prepare_documents, prepare_queries, reference_scores
from tests.unit.versus_systems import small_collection

SMALLEST = np.float32(2.0**-126)


@pytest.fixture(scope="module")
def weights() -> SparseWeights:
    return prepare_documents(small_collection(200).pictures, 20)


def test_scaling_to_the_smallest_floats_changes_no_score(weights: SparseWeights) -> None:
    shift = smallest_shift(weights)
    small = scaled(weights, -shift)
    assert SMALLEST <= small.weights.min() < 2 * SMALLEST
    queries = prepare_queries(small_collection(200).tower_queries, 9)
    np.testing.assert_array_equal(reference_scores(scaled(queries, shift), small), reference_scores(queries, weights))
    assert (small.weights.view(np.uint32) >> 15).max() < 1 << 12  # frequencies; 15 bits without


def test_quantised_weights_have_so_many_bits_and_are_near(weights: SparseWeights) -> None:
    rounded = quantised(weights, 4).weights
    assert not (rounded.view(np.uint32) & ((1 << 19) - 1)).any()
    assert np.abs(rounded / weights.weights - 1).max() <= 2**-5
    assert len(np.unique(rounded)) < len(np.unique(weights.weights))


def test_raised_weights_have_so_many_exponents(weights: SparseWeights) -> None:
    low = raised(weights, 3)
    assert low.weights.min() == 0.125
    np.testing.assert_array_equal(low.weights[weights.weights > 0.125], weights.weights[weights.weights > 0.125])


def test_only_long_lists_lose_their_light_postings(weights: SparseWeights) -> None:
    rows = [([1, 2], [0.5, 0.1]), ([1, 3], [0.2, 0.3]), ([1, 2], [0.4, 0.2]), ([1], [0.1])]
    some = without_light(SparseWeights.from_rows(rows), 0.5, 0.5)
    assert [some.row(i)[0].tolist() for i in range(4)] == [[1, 2], [3], [1, 2], []]
    assert len(without_light(weights, 1.0, 0.1).terms) == len(weights.terms)


def test_pictures_are_ordered_by_their_heaviest_terms() -> None:
    rows = [([1, 2], [0.1, 0.5]), ([3], [1.0]), ([2], [1.0]), ([], []), ([1], [0.3]), ([2, 1], [0.4, 0.1])]
    assert by_heaviest_term(SparseWeights.from_rows(rows))[:3] == [0, 2, 5]
    assert sorted(by_heaviest_term(SparseWeights.from_rows(rows))) == list(range(6))


def test_bisecting_brings_near_pictures_together() -> None:
    random = np.random.default_rng(0)
    centres = 5 * random.standard_normal((8, 32))
    which = random.integers(0, 8, 800)
    order = bisected((centres[which] + random.standard_normal((800, 32))).astype(np.float32))
    assert sorted(order) == list(range(800))
    assert (np.diff(which[order]) != 0).sum() < 60  # 700 in the order that they came in
