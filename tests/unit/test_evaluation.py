import numpy as np

from lexlip_es.evaluation import Hits, Recall, rank_of_best, ranks


def test_the_best_is_first() -> None:
    assert rank_of_best([0.1, 0.9, 0.5], [1]) == 1


def test_a_tie_counts_half() -> None:
    assert rank_of_best([1.0, 1.0, 1.0], [0]) == 2


def test_a_collapsed_model_ranks_in_the_middle_and_not_first() -> None:
    found = ranks(np.zeros((5, 101)), [[i] for i in range(5)])
    assert found.tolist() == [51] * 5
    assert Recall.of(found, 101).at_10 == 0


def test_of_several_right_answers_the_best_counts_and_the_others_are_no_mistake() -> None:
    assert rank_of_best([0.9, 0.8, 0.7, 0.6], [1, 2]) == 2
    assert rank_of_best([0.8, 0.8, 0.1], [0, 1]) == 1


def test_recall_and_median_by_hand() -> None:
    recall = Recall.of(np.array([1, 5.5, 10, 11]), 20)
    assert (recall.at_1, recall.at_5, recall.at_10, recall.median_rank) == (25.0, 25.0, 75.0, 7.75)


def test_no_queries_are_no_recall_instead_of_a_nan() -> None:
    assert Recall.of(np.array([]), 0) == Recall(0.0, 0.0, 0.0, 0.0, 0, 0)


def test_where_several_answers_are_right_it_is_called_hit_at_k() -> None:
    hits = Hits.of(np.array([1, 5.5]), 20)
    assert hits.to_json() == {
        "measure": "Success@k",
        "hit_at_1": 50.0,
        "hit_at_5": 50.0,
        "hit_at_10": 100.0,
        "median_rank": 3.25,
        "queries": 2,
        "candidates": 20,
    }
    assert str(hits).startswith("hit@1 50.0")
    assert Recall.of(np.array([1, 5.5]), 20).to_json()["at_1"] == 50.0
