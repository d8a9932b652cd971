"""Every way is asked everything in every round, and what it finds is held against its own side's exact ranking."""

import threading

import numpy as np
import pytest

from benchmarks.versus.agreement import exact, recall_at
from benchmarks.versus.collection import AT_ONCE
from benchmarks.versus.recall import is_measured, right_pictures, times_only
from benchmarks.versus.system import Answer, Asker
from benchmarks.versus.timing import SETTLING, Spread, throughput, throughputs, time_ways
from lexlip_es.weights import SparseWeights, reference_scores
from tests.unit.versus_systems import Product, flat, pruned, small_collection

SLOW = 0.003  # seconds


def test_each_round_asks_each_way_every_query_after_a_few_that_are_not_timed() -> None:
    collection = small_collection(30)
    ways = [Product(collection.dense, collection.dense_queries, "dense", {"slow": slow}, slow > 0, slow) for slow in (0.0, SLOW)]
    quick, slow = time_ways(ways, [3, 1, 7, 5, 0], 4, 2, seed=0)
    assert quick.ms.shape == slow.ms.shape == (2, 5)
    assert (slow.ms > 1e3 * SLOW).all() and np.median(quick.ms) < 1e3 * SLOW
    assert quick.took_ms is None
    assert slow.took_ms is not None and (slow.took_ms == 0.5).all()
    assert [found.tolist() for found in quick.answers] == [found.tolist() for found in slow.answers]
    assert quick.answers[1][0] == collection.gold[1]
    assert ways[0].log == ways[1].log  # the same order in the same round
    assert ways[0].log[:5] == [3, 1, 7, 5, 0]  # untimed, all of them
    assert len(ways[0].log) == 5 + 2 * (SETTLING + 5) + 1
    assert ways[0].log[-1] == -1  # closed
    first, second = ways[0].log[5 + SETTLING :][:5], ways[0].log[5 + 2 * SETTLING + 5 :][:5]
    assert sorted(first) == sorted(second) == [0, 1, 3, 5, 7]
    assert first != second


def test_a_percentile_is_taken_in_each_round_and_told_with_the_spread_of_rounds() -> None:
    assert Spread.of_percentile([[1, 2, 3], [4, 5, 6], [7, 8, 90]], 50) == Spread(5, 2, 8)
    assert Spread.of([3.0]) == Spread(3, 3, 3)


def test_clients_ask_at_the_same_time() -> None:
    collection = small_collection(30)
    way = Product(collection.dense, collection.dense_queries, "dense", {}, slowness=0.01)
    one, four = (throughput(way, range(12), 4, clients, 0.1) for clients in (1, 4))
    assert one < 101
    assert four > 2 * one
    (found,) = throughputs([way], range(12), 4, (1, 2), 2, 0.02, 0)
    assert {clients: len(rates) for clients, rates in found.items()} == {1: 2, 2: 2}


class _Broken:
    side, parameters = "dense", {}

    def asker(self) -> Asker:
        return self

    def ask(self, query: int, k: int) -> Answer:
        if query == 1:
            raise OSError("gone")
        return Answer(np.empty(0, np.int64))

    def close(self) -> None:
        pass


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_client_that_fails_is_no_throughput() -> None:
    before = threading.active_count()
    with pytest.raises(RuntimeError, match="client has failed"):
        throughput(_Broken(), range(2), 4, 1, 5.0)
    assert threading.active_count() <= before


def test_the_exact_ranking_is_that_of_all_terms_at_any_number_of_pictures() -> None:
    collection = small_collection(AT_ONCE + 50, queries=3)
    reference = reference_scores(collection.tower_queries, collection.pictures.normalise())
    for row, found in zip(reference, exact(collection, "tower", range(3), 10), strict=True):
        assert (row[found[:10]] >= np.sort(row)[-10] * 0.99).all()  # the reference truncates weights
        assert found[0] in np.argsort(-row)[:3]
    dense = collection.dense_queries @ collection.dense.T
    for row, found in zip(dense, exact(collection, "dense", range(3), 10), strict=True):
        assert found[:10].tolist() == np.argsort(-row)[:10].tolist()
    with pytest.raises(ValueError, match="BM25"):
        exact(collection, "captions", range(3), 10)


def test_pictures_that_share_the_last_place_count_alike_and_what_matches_nothing_is_not_missed() -> None:
    ranking = [np.array([5, 1, 2, 3]), np.array([7]), np.array([], np.int64)]
    answers = [np.array([5, 3]), np.array([7]), np.array([], np.int64)]
    assert recall_at(2, answers, ranking).tolist() == [1, 1, 1]
    assert recall_at(2, [np.array([5, 9]), np.array([], np.int64), np.array([4])], ranking).tolist() == [0.5, 0, 1]


def test_ties_and_few_matches_in_a_collection() -> None:
    collection = small_collection(6, queries=2)
    alike = SparseWeights.from_rows([([0], [1.0])] * 3 + [([1], [1.0])] * 3)
    asked = SparseWeights.from_rows([([0], [2.0]), ([40], [1.0])])
    collection = type(collection)(**{**vars(collection), "pictures": alike, "table_queries": asked})
    first, nothing = exact(collection, "table", range(2), 2)
    assert sorted(first.tolist()) == [0, 1, 2]
    assert len(nothing) == 0


def test_right_pictures_are_counted_by_their_place() -> None:
    gold = np.array([4, 4, 9])
    answers = [np.array([4, 1]), np.array([1, 2, 3, 5, 6, 4]), np.array([1])]
    found = right_pictures(answers, gold, 0)
    assert found["queries"] == 3
    assert [round(found[f"R@{depth}"]["percent"], 1) for depth in (1, 5, 10)] == [33.3, 33.3, 66.7]
    assert found["R@1"]["low"] <= 33.3 <= found["R@1"]["high"]


def test_of_random_vectors_nothing_is_said_but_times() -> None:
    twin, random = small_collection(5, queries=2), small_collection(5, origin="random", queries=2)
    assert (times_only(random, "dense"), times_only(random, "tower"), times_only(twin, "dense")) == (True, False, False)
    assert (is_measured(random, "dense"), is_measured(random, "tower"), is_measured(twin, "dense")) == (False, True, True)
    grown = type(twin)(**{**vars(twin), "real": 4})
    assert not is_measured(grown, "tower")


def test_all_terms_find_the_exact_ranking_and_few_do_not() -> None:
    collection = small_collection(300, queries=12)
    ranking = exact(collection, "tower", range(12), 10)

    def recall(terms: int, way: int) -> float:
        asker = pruned(collection, terms).ways()[way].asker()
        return float(recall_at(10, [asker.ask(query, 10).ids for query in range(12)], ranking).mean())

    assert recall(80, 1) > 0.97
    assert recall(8, 0) < recall(20, 0) < recall(80, 1)
    assert flat(collection).cost.bytes == 300 * 512 * 4
