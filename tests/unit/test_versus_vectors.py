"""Real collections are encoded once, made ones are like them and grow alike, and the sample holds what it was made from."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.versus.collection import DENSE_DIM, Collection
from benchmarks.versus.dense_encoders import lift, random_vectors
from benchmarks.versus.distractors import NEAR, grow, nearest, parents_of
from benchmarks.versus.likeness import likeness, rows
from benchmarks.versus.sample import load_sample, write_sample
from benchmarks.versus.vectors import Cache, all_pictures, collection_options, listed_pictures, read_collection
from lexlip_es.captions import Text
from lexlip_es.errors import LexlipError
from lexlip_es.evaluating import CaptionedPictures
from lexlip_es.lexicon import Lexicon
from lexlip_es.model_folder import open_model
from lexlip_es.weights import SparseWeights
from tests.made_model import COLOURS, paint_colours

TERMS, TOPICS = 400, 8


@pytest.fixture(scope="module")
def real() -> Collection:
    """600 pictures of 8 topics: each of 12 to 20 of its topic's 30 terms and 4 others, and a vector near the topic's."""
    random = np.random.default_rng(0)
    topic = random.integers(0, TOPICS, 600)
    pictures = []
    for of in topic:
        own = 30 * of + random.choice(30, int(random.integers(12, 21)), replace=False)
        other = 30 * TOPICS + random.choice(TERMS - 30 * TOPICS, 4, replace=False)
        terms = np.concatenate([own, other])
        pictures.append((terms, random.random(len(terms)) + 1 / (1 + terms % 30)))
    centres = random_vectors(TOPICS, 0)
    dense = centres[topic] + random_vectors(600, 1) / 2
    queries = [(terms[:5], weights[:5]) for terms, weights in pictures[:100]]
    asked = SparseWeights.from_rows(queries)
    return Collection(
        "topics",
        Lexicon([f"word{i}" for i in range(TERMS)]),
        SparseWeights.from_rows(pictures),
        dense / np.linalg.norm(dense, axis=1, keepdims=True),
        "dense twin",
        600,
        ("",) * 100,
        asked,
        asked,
        centres[topic[:100]],
        np.arange(100),
    )


def rows_of(weights: SparseWeights) -> list[tuple[list[int], list[float]]]:
    return [(weights.row(i)[0].tolist(), weights.row(i)[1].tolist()) for i in range(len(weights))]


def test_a_larger_collection_begins_with_the_smaller_one(real: Collection) -> None:
    small, large = grow(real, 1_900, seed=3), grow(real, 3_700, seed=3)
    assert (len(small), len(large), small.real, large.real) == (1_900, 3_700, 600, 600)
    assert rows_of(small.pictures) == rows_of(large.pictures)[:1_900]
    assert rows_of(small.pictures)[:600] == rows_of(real.pictures)
    assert np.array_equal(small.dense, large.dense[:1_900])
    assert np.array_equal(grow(large, 1_900, seed=3).dense, small.dense)
    assert rows_of(grow(real, 1_900, seed=4).pictures)[600:] != rows_of(small.pictures)[600:]
    with pytest.raises(ValueError, match="599 pictures are fewer than the 600 real ones"):
        grow(real, 599)


def test_a_made_picture_has_rows_as_an_encoder_gives_them(real: Collection) -> None:
    made = grow(real, 2_000)
    for terms, weights in rows_of(made.pictures)[600:]:
        assert len(set(terms)) == len(terms) > 0
        assert weights == sorted(weights, reverse=True) and weights[-1] > 0
    assert np.allclose(np.linalg.norm(made.dense, axis=1), 1, atol=1e-5)


def test_made_pictures_are_of_one_topic_like_real_ones(real: Collection) -> None:
    made = rows_of(grow(real, 1_600).pictures)[600:]
    topics = [{term // 30 for term in terms if term < 30 * TOPICS} for terms, _ in made]
    assert np.mean([len(of) == 1 for of in topics]) > 0.95


def test_sources_are_the_pictures_that_others_are_made_from(real: Collection) -> None:
    chosen = np.array([5, 9, 9, 9])
    made = rows_of(grow(real, 1_000, sources=chosen).pictures)[600:]
    theirs = set(real.pictures.row(5)[0].tolist()) | set(real.pictures.row(9)[0].tolist())
    assert {term for terms, _ in made for term in terms} == theirs
    assert rows_of(grow(real, 700, sources=np.array([7])).pictures)[650][0] != []


def test_nobody_is_made_from_a_picture_that_is_asked_for(real: Collection) -> None:
    assert parents_of(real).tolist() == list(range(100, 600))
    every_one = replace(real, gold=np.arange(600))
    assert parents_of(every_one).tolist() == list(range(600))
    marked = SparseWeights.from_rows([*([([399], [1.0])] * 100), *(real.pictures.row(i) for i in range(100, 600))])
    assert min(grow(replace(real, pictures=marked), 900).pictures.counts[600:]) > 5


def test_random_dense_vectors_stay_random(real: Collection) -> None:
    vectors = grow(replace(real, origin="random"), 1_600).dense[600:]
    assert np.abs(vectors @ vectors.T - np.eye(1_000)).max() < 0.4


def test_the_nearest_share_most_and_are_never_the_picture_itself(real: Collection) -> None:
    terms = np.array([[0, 1], [0, 2], [3, 4], [3, 5]], np.int32)
    found = nearest(terms, np.ones((4, 2), np.float32), 6, np.random.default_rng(0))
    assert found.shape == (4, 3)
    assert all(i not in row for i, row in enumerate(found.tolist()))
    many = np.repeat(terms, 10, axis=0)
    found = nearest(many, np.ones(many.shape, np.float32), 6, np.random.default_rng(0))
    assert found.shape == (40, NEAR)
    assert [set((row // 10).tolist()) <= {i // 20 * 2, i // 20 * 2 + 1} for i, row in enumerate(found)] == [True] * 40
    assert nearest(terms[:1], np.ones((1, 2), np.float32), 6, np.random.default_rng(0)).tolist() == [[0]]


def test_likeness_stands_made_beside_held_out_pictures(real: Collection) -> None:
    found = likeness(real)
    figures: Mapping[str, Mapping[str, float]] = found["figures"]
    assert list(figures) == ["held out", "made", "parents"]
    assert (found["parents"], found["held out and made"]) == (300, 300)
    held, made = figures["held out"], figures["made"]
    assert made["terms a picture, mean"] == pytest.approx(held["terms a picture, mean"], rel=0.05)
    for name in ("table: score of the 10. picture, 50 %", "dense: cosine of the 10. picture, 50 %"):
        assert made[name] == pytest.approx(held[name], rel=0.2)
    name = "correlation of terms' frequencies (log)"
    assert made[name] > figures["parents"][name] - 0.1
    assert {row["figure"] for row in rows(found)} == set(held)
    assert list(likeness(real, share=0.1)["figures"]) == ["held out", "made"]


def test_likeness_tells_pictures_whose_terms_come_by_chance(real: Collection) -> None:
    """What no co-occurrence does to the figures: the same pictures with every term drawn anew by its frequency alone."""
    random = np.random.default_rng(0)
    often = np.bincount(real.pictures.terms, minlength=TERMS) + 1e-9
    drawn = [(random.choice(TERMS, len(w), replace=False, p=often / often.sum()), w) for _, w in rows_of(real.pictures)]
    mixed = replace(real, pictures=SparseWeights.from_rows(drawn))
    name = "correlation of how 200 frequent terms come together (log lift)"
    assert likeness(real)["figures"]["made"][name] > 0.9
    assert likeness(mixed)["figures"]["made"][name] < 0.3


@pytest.mark.parametrize("dim", [7, 256, 512])
def test_lifting_changes_no_inner_product(dim: int) -> None:
    vectors = np.random.default_rng(0).standard_normal((20, dim), np.float32)
    lifted = lift(vectors)
    assert lifted.shape == (20, DENSE_DIM)
    assert np.allclose(lifted @ lifted.T, vectors @ vectors.T, rtol=1e-4, atol=1e-3)


def test_more_numbers_than_clip_has_are_refused() -> None:
    with pytest.raises(LexlipError, match="of 768 numbers do not fit into 512"):
        lift(np.zeros((1, 768), np.float32))


def test_the_sample_holds_the_weights_to_seven_bits(real: Collection, tmp_path: Path) -> None:
    lexicon = open_model().lexicon
    spoken = replace(real, lexicon=lexicon, pictures=replace(real.pictures, terms=real.pictures.terms * 76))
    path = tmp_path / "sample.npz"
    assert write_sample(spoken, path, 50, 20) == path.stat().st_size
    sample = load_sample(path)
    assert (len(sample), sample.real, sample.origin, len(sample.texts)) == (50, 50, "random", 20)
    assert set(sample.gold) <= set(range(50))
    for i in range(50):
        terms, weights = sample.pictures.row(i)
        expected = dict(zip(*(part.tolist() for part in spoken.pictures.row(i)), strict=True))
        assert set(terms.tolist()) == set(expected)
        for term, weight in zip(terms.tolist(), weights.tolist(), strict=True):
            assert expected[term] * (1 - 2**-6) <= weight <= expected[term]
    for i, picture in enumerate(sample.gold):
        assert set(sample.table_queries.row(i)[0].tolist()) == set(real.table_queries.row(int(picture))[0].tolist())


def test_a_sample_of_another_vocabulary_or_too_large_is_refused(real: Collection, tmp_path: Path, monkeypatch: Any) -> None:
    write_sample(real, tmp_path / "sample.npz", 50, 20)
    with pytest.raises(LexlipError, match="is of another vocabulary than the model"):
        load_sample(tmp_path / "sample.npz")
    monkeypatch.setattr("benchmarks.versus.sample.MOST_BYTES", 1_000)
    with pytest.raises(LexlipError, match="1,000 are allowed"):
        write_sample(real, tmp_path / "sample.npz", 50, 20)


def test_listed_pictures_are_those_that_are_there(tmp_path: Path) -> None:
    paint_colours(tmp_path)
    (tmp_path / "list.txt").write_text("red.png\nnone.png\n\nblue.png\nred.png\n")
    said: list[str] = []
    assert listed_pictures(tmp_path, [tmp_path / "list.txt"], said.append) == (tmp_path, ["red.png", "blue.png"])
    assert said == [f"1 of 3 listed pictures are not in {tmp_path}"]


def test_the_options_name_pictures_with_captions_and_others() -> None:
    given = ["--images", "i", "--captions", "c", "--files", "dev.txt", "--others", "more", "--others", "i", "test.txt"]
    options = collection_options("about").parse_args(given)
    assert options.others == [[Path("more")], [Path("i"), Path("test.txt")]]
    assert "--others DIR [FILE ...]" in collection_options("about").format_help()


def test_pictures_are_encoded_once(tmp_path: Path) -> None:
    images, more = tmp_path / "images", tmp_path / "more"
    for folder in (images, more):
        folder.mkdir()
        paint_colours(folder)
    names = [f"{colour}.png" for colour in COLOURS]
    data = CaptionedPictures(images, names, [Text(f"{name}#0", name[:-4], name) for name in names])
    said: list[str] = []
    cache = Cache(tmp_path / "cache", said.append)

    def read(*others: Path) -> Collection:
        return read_collection("colours", data, open_model(), None, cache, list(map(all_pictures, others)))

    read()
    encoded = list(said)
    assert encoded == ["encoding sparse-pictures", "encoding sparse-table", "encoding sparse-tower"]
    both = read(more)
    assert said == [*encoded, "encoding sparse-pictures"]  # of the other folder alone
    read(more)
    assert len(said) == 4
    assert len(both) == both.real == 6
    assert both.gold.tolist() == [0, 1, 2]
    assert rows_of(both.pictures)[:3] == [rows_of(both.pictures)[i] for i in (5, 4, 3)]  # blue, green, red by name
    assert (both.dense.shape, both.origin, both.dense_queries.shape) == ((6, DENSE_DIM), "random", (3, DENSE_DIM))
