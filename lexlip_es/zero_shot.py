"""Zero-shot classification: the class whose name, asked as a query, gives a picture the highest score.

Scores of different queries are compared here, which a search never does, so the queries are scaled to L2 norm 1: the score is
then the cosine that LexLIP was trained with, up to the nine significant bits of a stored weight. A tie counts half, as in a
search.
"""

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lexlip_es.bootstrap import Counts, Interval, Statistic, Values, intervals, percent_within, together
from lexlip_es.captions import read_names
from lexlip_es.encoders import Encoder
from lexlip_es.errors import LexlipError, UsageError
from lexlip_es.evaluating import EncodedPictures, encode_pictures
from lexlip_es.evaluation import Ranks, ranks
from lexlip_es.labels import read_labels
from lexlip_es.model_folder import Pruning
from lexlip_es.weights import prepare_documents, prepare_queries, reference_scores

PLACE = "{}"
_DEPTHS = (1, 5)


@dataclass(frozen=True)
class LabelledPictures:
    """Pictures by relative name; `gold` (P,) is the place of each one's class in `classes` (C names); `missing` are no files."""

    root: Path
    names: list[str]
    classes: list[str]
    gold: NDArray[np.int64]
    missing: int = 0


def read_labelled_pictures(root: Path, labels: Path, files: Path | None = None) -> LabelledPictures:
    """The labelled pictures under the folder (of those that `files` lists); raises `LexlipError` if there are none.

    All labels of the file are classes, in alphabetical order, also those of which no picture is measured.
    """
    label_of = read_labels(labels)
    wanted = [name for name in dict.fromkeys(read_names(files)) if name in label_of] if files else list(label_of)
    names = [name for name in wanted if os.path.isfile(root / name)]
    if not names:
        raise LexlipError(f"no picture under {root} has a label in {labels}: the names there are relative to the folder.")
    classes = sorted(set(label_of.values()))
    place = {label: i for i, label in enumerate(classes)}
    gold = np.array([place[label_of[name]] for name in names], np.int64)
    return LabelledPictures(root, names, classes, gold, len(wanted) - len(names))


def encode_labelled(
    encoder: Encoder, data: LabelledPictures, template: str = PLACE, progress: Callable[[], None] = lambda: None
) -> EncodedPictures:
    """Encode the pictures, and for each class the template with its name; raises `UsageError` for one without `{}`."""
    if PLACE not in template:
        raise UsageError(f"the template {template!r} has no {PLACE}: write {PLACE} where the class name goes.")
    texts = encoder.encode_texts([template.replace(PLACE, name) for name in data.classes])
    return EncodedPictures(encode_pictures(encoder, data.root, data.names, progress), texts)


@dataclass(frozen=True)
class ClassAccuracy:
    """One class: how many pictures of it there are, the accuracy on them in percent, and how many terms its query has."""

    label: str
    pictures: int
    top_1: float
    top_5: float
    query_terms: int


@dataclass(frozen=True)
class ZeroShot:
    """Accuracy in percent; `mean_per_class` is the mean top-1 accuracy of the classes that have pictures."""

    top_1: float
    top_5: float
    mean_per_class: float
    per_class: list[ClassAccuracy]
    ranks: Ranks
    gold: NDArray[np.int64]

    def intervals(self, times: int, seed: int) -> dict[str, Interval]:
        """The 95 % interval over pictures of each of the three accuracies (see `bootstrap`)."""
        statistic = together(_accuracies(self.ranks), _mean_per_class(self.ranks, self.gold))
        found = intervals(statistic, len(self.ranks), times, seed)
        return dict(zip(("top_1", "top_5", "mean_per_class"), found, strict=True))

    def to_json(self) -> dict[str, Any]:
        """The accuracies, and those of each class, as JSON."""
        return {
            "top_1": self.top_1,
            "top_5": self.top_5,
            "mean_per_class": self.mean_per_class,
            "per_class": [asdict(one) for one in self.per_class],
        }

    def __str__(self) -> str:
        return f"top-1 {self.top_1:.1f}  top-5 {self.top_5:.1f}  mean per class {self.mean_per_class:.1f}"


def classify(encoded: EncodedPictures, data: LabelledPictures, pruning: Pruning) -> ZeroShot:
    """Rank the classes for each picture and measure where its own one stands."""
    queries = prepare_queries(encoded.texts, pruning.query_terms)
    documents = prepare_documents(encoded.pictures, pruning.picture_terms)
    scores = reference_scores(queries.normalise(), documents).T  # (P, C)
    found = ranks(scores, [[label] for label in data.gold.tolist()])  # (P,)
    once = np.ones((1, len(found)), np.int64)
    top_1, top_5 = _accuracies(found)(once)[0]
    per_class = []
    for place, label in enumerate(data.classes):
        own = found[data.gold == place]
        one, five = (_rounded(100 * float(np.mean(own <= depth))) if len(own) else 0.0 for depth in _DEPTHS)
        per_class.append(ClassAccuracy(label, len(own), one, five, int(queries.counts[place])))
    mean = _mean_per_class(found, data.gold)(once)[0, 0]
    return ZeroShot(_rounded(top_1), _rounded(top_5), _rounded(mean), per_class, found, data.gold)


def _accuracies(found: Ranks) -> Statistic:
    return percent_within(found, np.arange(len(found)), len(found), _DEPTHS)


def _mean_per_class(found: Ranks, gold: NDArray[np.int64]) -> Statistic:
    """The mean top-1 accuracy of the classes that a resample holds; one that it missed has no accuracy."""
    order = np.argsort(gold, kind="stable")
    starts = np.flatnonzero(np.diff(gold[order], prepend=-1))  # (C,) where each class begins
    right = (found <= 1)[order]

    def statistic(counts: Counts) -> Values:
        drawn = counts[:, order]  # (B, P) class by class
        of_class = np.add.reduceat(drawn, starts, axis=1)  # (B, C)
        right_of_class = np.add.reduceat(drawn * right, starts, axis=1)
        accuracy = right_of_class / np.maximum(of_class, 1)
        means: Values = 100 * accuracy.sum(axis=1) / np.count_nonzero(of_class, axis=1)  # (B,)
        return means[:, None]

    return statistic


def _rounded(value: float) -> float:
    return round(float(value), 2)
