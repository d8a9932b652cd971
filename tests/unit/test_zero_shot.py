from pathlib import Path

import numpy as np
import pytest

from lexlip_es.evaluating import EncodedPictures
from lexlip_es.model_folder import Pruning
from lexlip_es.weights import SparseWeights
from lexlip_es.zero_shot import ClassAccuracy, LabelledPictures, classify

# Six classes, the last without a term; class 1 is asked three times as loudly as the others.
TEXTS = SparseWeights.from_rows([([0], [1.0]), ([1], [3.0]), ([2], [1.0]), ([3], [1.0]), ([4], [1.0]), ([], [])])
PICTURES = SparseWeights.from_rows([([0, 1], [0.9, 0.4]), ([0, 2], [0.5, 0.9]), ([1, 2], [0.8, 0.8]), ([], []), ([2], [1.0])])
DATA = LabelledPictures(Path("photos"), list("vwxyz"), list("abcdef"), np.array([0, 0, 1, 5, 2]))
# By hand, ranks of the right class: 1; 2; 1 + half of one tie; all six tied; 1.
RANKS = [1, 2, 1.5, 3.5, 1]


def test_the_class_with_the_highest_cosine_wins_however_loud_its_query_and_a_tie_counts_half() -> None:
    found = classify(EncodedPictures(PICTURES, TEXTS), DATA, Pruning(64, 32))
    assert found.ranks.tolist() == RANKS
    assert (found.top_1, found.top_5) == (40.0, 100.0)


def test_classes_count_alike_whatever_their_size_and_those_without_pictures_not_at_all() -> None:
    found = classify(EncodedPictures(PICTURES, TEXTS), DATA, Pruning(64, 32))
    assert found.mean_per_class == 37.5  # of 50, 0, 100 and 0
    assert found.per_class[0] == ClassAccuracy("a", 2, 50.0, 100.0, 1)
    assert found.per_class[3] == ClassAccuracy("d", 0, 0.0, 0.0, 1)
    assert found.per_class[5].query_terms == 0


def test_intervals_are_quantiles_of_accuracies_of_drawn_pictures() -> None:
    found = classify(EncodedPictures(PICTURES, TEXTS), DATA, Pruning(64, 32))
    draws, accuracies = np.random.default_rng(3), []
    for _ in range(300):
        drawn = draws.integers(5, size=5)
        right, gold = np.array(RANKS)[drawn] <= 1, DATA.gold[drawn]
        accuracies.append((100 * right.mean(), 100 * np.mean([right[gold == label].mean() for label in set(gold)])))
    expected = np.quantile(accuracies, (0.025, 0.975), axis=0)
    spread = found.intervals(300, 3)
    assert spread["top_1"] == pytest.approx(tuple(expected[:, 0]), abs=0.006)
    assert spread["mean_per_class"] == pytest.approx(tuple(expected[:, 1]), abs=0.006)
