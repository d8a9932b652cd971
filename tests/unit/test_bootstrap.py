import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexlip_es.bootstrap import intervals, median, percent_within, together
from lexlip_es.evaluation import Recall, recall_intervals

FOUND = np.array([1, 2.5, 7, 1, 11, 30, 1, 5])
OWNER = np.array([0, 0, 1, 2, 2, 2, 3, 1])


@given(st.lists(st.integers(0, 3), min_size=1, max_size=12))
def test_a_resample_is_measured_as_if_its_pictures_captions_stood_there_that_often(drawn: list[int]) -> None:
    repeated = np.concatenate([FOUND[picture == OWNER] for picture in drawn])
    expected = [100 * np.mean(repeated <= 1), 100 * np.mean(repeated <= 5), np.median(repeated)]
    statistic = together(percent_within(FOUND, OWNER, 4, (1, 5)), median(FOUND, OWNER))
    counts = np.bincount(drawn, minlength=4)[None]
    assert statistic(counts)[0] == pytest.approx(expected)


def test_intervals_are_the_quantiles_of_measures_of_whole_pictures_drawn_with_their_captions() -> None:
    draws = np.random.default_rng(5)
    recalls = []
    for _ in range(400):
        repeated = [FOUND[picture == OWNER] for picture in draws.integers(4, size=4)]
        recalls.append(100 * np.mean(np.concatenate(repeated) <= 5))
    low, high = recall_intervals(FOUND, OWNER, 4, times=400, seed=5)["at_5"]
    assert (low, high) == pytest.approx(tuple(np.quantile(recalls, (0.025, 0.975))), abs=0.006)


def test_the_seed_decides_and_the_block_size_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    statistic = percent_within(FOUND, OWNER, 4, (1,))
    whole = intervals(statistic, 4, 50, 7)
    assert intervals(statistic, 4, 50, 7) == whole
    monkeypatch.setattr("lexlip_es.bootstrap._DRAWS_AT_ONCE", 30)
    assert intervals(statistic, 4, 50, 7) == whole


def test_captions_that_succeed_together_leave_a_wider_interval_than_as_many_single_ones() -> None:
    ranks = np.repeat([1.0, 50.0], 100)  # 40 pictures, the captions of one all right or all wrong
    together_, alone = np.repeat(np.arange(40), 5), np.arange(200)
    wide, narrow = (recall_intervals(ranks, owner, owner.max() + 1, 500, 0)["at_1"] for owner in (together_, alone))
    assert wide[1] - wide[0] > 1.5 * (narrow[1] - narrow[0])
    assert wide[0] < Recall.of(ranks, 100).at_1 < wide[1]
