import math
import struct
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lexlip_es.weights import SparseWeights, prepare_documents, prepare_queries, reference_scores, truncate

positive = st.floats(min_value=2**-100, max_value=2**60, width=32)
dense_batches = hnp.arrays(np.float32, st.tuples(st.integers(1, 5), st.integers(1, 12)), elements=st.just(0.0) | positive)


def slow_truncate(weight: float) -> float:
    """Nine significant bits, toward zero, by exact arithmetic instead of bit tricks."""
    mantissa, exponent = math.frexp(weight)  # weight = mantissa x 2**exponent, 0.5 <= mantissa < 1
    return float(math.floor(Fraction(mantissa) * 2**9) * Fraction(2) ** (exponent - 9))


@given(hnp.arrays(np.float32, st.integers(1, 50), elements=positive))
def test_truncation_keeps_nine_significant_bits(weights: np.ndarray) -> None:
    assert truncate(weights).tolist() == [slow_truncate(float(weight)) for weight in weights]


def test_truncation_on_many_random_floats_equals_the_obvious_way() -> None:
    weights = np.exp(np.random.default_rng(0).normal(0, 5, 20_000)).astype(np.float32)
    assert truncate(weights).tolist() == [slow_truncate(float(weight)) for weight in weights]


def test_truncation_is_what_lucene_stores() -> None:
    bits = struct.unpack("<I", struct.pack("<f", 1.2345))[0]
    assert truncate(np.float32([1.2345]))[0] == struct.unpack("<f", struct.pack("<I", (bits >> 15) << 15))[0]


@given(dense_batches)
def test_a_dense_batch_comes_back(dense: np.ndarray) -> None:
    assert np.array_equal(SparseWeights.from_dense(dense).to_dense(dense.shape[1]), dense)


@given(dense_batches, st.integers(1, 14))
def test_top_k_keeps_the_heaviest_and_breaks_ties_by_term(dense: np.ndarray, k: int) -> None:
    kept = SparseWeights.from_dense(dense).top_k(k)
    for i, row in enumerate(dense):
        expected = sorted((term for term in range(len(row)) if row[term] > 0), key=lambda term: (-row[term], term))[:k]
        assert kept.row(i)[0].tolist() == expected
        assert kept.row(i)[1].tolist() == row[expected].tolist()


@given(dense_batches)
def test_normalised_rows_have_norm_one_or_are_empty(dense: np.ndarray) -> None:
    batch = SparseWeights.from_dense(dense).normalise()
    for i in range(len(batch)):
        weights = batch.row(i)[1].astype(np.float64)
        assert not len(weights) or math.isclose(float(np.sqrt((weights**2).sum())), 1, rel_tol=1e-5)


def test_an_empty_row_stays_empty_and_gives_no_nan() -> None:
    batch = prepare_documents(SparseWeights.from_rows([([], []), ([1], [2.0])]), 8)
    assert batch.counts.tolist() == [0, 1]
    assert np.isfinite(batch.weights).all()


def test_what_is_not_positive_and_finite_is_left_out() -> None:
    batch = SparseWeights.from_rows([([0, 1, 2, 3, 4, 5], [1.0, 0.0, -1.0, np.inf, np.nan, 1e-40])])
    assert batch.row(0)[0].tolist() == [0]


def test_a_term_named_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="twice"):
        SparseWeights.from_rows([([3, 3], [1.0, 2.0])])


def test_origins_follow_their_terms() -> None:
    batch = SparseWeights.from_rows([([5, 2, 9], [0.5, 3.0, 1.0])], [[0, 1, 2]])
    assert batch.row(0)[0].tolist() == [2, 9, 5]
    assert batch.top_k(2).row_origins(0).tolist() == [1, 2]  # type: ignore[union-attr]
    assert SparseWeights.concat([batch, batch]).row_origins(1).tolist() == [1, 2, 0]  # type: ignore[union-attr]


@given(st.lists(dense_batches.map(lambda dense: np.resize(dense, (len(dense), 6))), min_size=1, max_size=4))
def test_joined_batches_read_like_one(parts: list[np.ndarray]) -> None:
    joined = SparseWeights.concat([SparseWeights.from_dense(part) for part in parts])
    assert np.array_equal(joined.to_dense(6), np.concatenate(parts))


def test_documents_are_cut_then_normalised_then_truncated() -> None:
    batch = prepare_documents(SparseWeights.from_rows([([1, 2, 3], [3.0, 4.0, 1.0])]), 2)
    assert batch.row(0)[0].tolist() == [2, 1]
    assert batch.row(0)[1].tolist() == [slow_truncate(float(np.float32(0.8))), slow_truncate(float(np.float32(0.6)))]


def test_ties_that_truncation_makes_are_ordered_by_term() -> None:
    batch = SparseWeights.from_rows([([7, 3], [1.001, 1.0])]).truncate()
    assert batch.row(0)[0].tolist() == [3, 7]


def slow_score(query: dict[int, float], document: dict[int, float]) -> float:
    total = 0.0
    for term, weight in query.items():
        if term in document:
            product = np.float32(np.float32(weight) * np.float32(slow_truncate(document[term])))
            total += float(product)
    return float(np.float32(total))


def test_reference_scores_equal_the_formula_term_by_term() -> None:
    rng = np.random.default_rng(3)
    dense = np.where(rng.random((2, 20, 40)) < 0.3, np.exp(rng.normal(size=(2, 20, 40))), 0).astype(np.float32)
    queries, documents = SparseWeights.from_dense(dense[0]), SparseWeights.from_dense(dense[1])
    scores = reference_scores(prepare_queries(queries, 40), documents)
    for i in range(20):
        query = dict(zip(*(column.tolist() for column in queries.row(i)), strict=True))
        for j in range(20):
            document = dict(zip(*(column.tolist() for column in documents.row(j)), strict=True))
            assert scores[i, j] == slow_score(query, document)
