"""Made documents are like real ones where an engine can tell, and the same ones each time."""

import numpy as np
import pytest

from benchmarks.loading_variants import by_heaviest_term
from benchmarks.made_documents import COPY_EVERY, Statistics, made_documents, made_file, made_hash
from benchmarks.markdown import table
from lexlip_es.lexicon import Lexicon
from lexlip_es.weights import SparseWeights, truncate

TERMS = 60


@pytest.fixture(scope="module")
def real() -> SparseWeights:
    """Pictures of 3 to 12 terms, of which the first terms are frequent and heavy."""
    random = np.random.default_rng(0)
    rows = []
    for _ in range(400):
        count = int(random.integers(3, 13))
        terms = random.choice(TERMS, count, replace=False, p=np.arange(TERMS, 0, -1) / np.arange(1, TERMS + 1).sum())
        rows.append((terms, random.random(count) + 3 / (1 + terms) + 0.1))
    return SparseWeights.from_rows(rows).normalise().truncate()


def test_made_pictures_have_the_real_ones_shares_and_weights(real: SparseWeights) -> None:
    learnt = Statistics.of(real)
    made = learnt.draw(20_000, np.random.default_rng(1))
    assert abs(made.counts.mean() - real.counts.mean()) < 0.1
    again = Statistics.of(made)
    assert again.terms.tolist() == learnt.terms.tolist()
    assert np.abs(again.shares - learnt.shares).max() < 0.05
    assert np.corrcoef(again.usual, learnt.usual)[0, 1] > 0.8
    assert set(made.weights.tolist()) <= set(real.weights.tolist())
    assert (truncate(made.weights) == made.weights).all()
    for i in range(50):
        terms, weights = made.row(i)
        assert len(set(terms.tolist())) == len(terms)
        assert (np.diff(weights) <= 0).all()


def test_the_same_numbers_are_the_same_documents(real: SparseWeights) -> None:
    lexicon = Lexicon([f"word{i}" for i in range(TERMS)])
    documents = list(made_documents(Statistics.of(real), lexicon, range(30)))
    assert documents == list(made_documents(Statistics.of(real), lexicon, range(30)))
    assert len({document["_id"] for document in documents}) == 30
    first = documents[0]["source"]
    found = made_file(0)
    assert (first["path"], first["file_size"], first["modified"]) == (found.display_path, found.size, found.modified)
    assert len(first["terms"]) == first["n_terms"]


def test_every_twentieth_looks_nearly_like_the_one_before() -> None:
    def apart(one: int, other: int) -> int:
        return (int(made_hash(one), 16) ^ int(made_hash(other), 16)).bit_count()

    assert 0 < apart(COPY_EVERY, COPY_EVERY + 1) <= 4
    assert apart(2, 3) > 100


def test_documents_are_put_in_the_order_of_their_heaviest_terms() -> None:
    documents = [{"_id": str(i), "source": {"terms": {term: 1.0, "z": 0.5}}} for i, term in enumerate("abcbcb")]
    assert [document["_id"] for document in by_heaviest_term(documents)] == ["1", "3", "5", "2", "4", "0"]


def test_a_table_has_the_columns_of_its_first_row() -> None:
    assert table([{"a": 1, "b": [2, 3]}, {"a": 4}]) == "| a | b |\n| --- | --- |\n| 1 | 2, 3 |\n| 4 |  |"
    assert table([]) == ""
