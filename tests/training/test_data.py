"""Data: splits, random views, captions drawn, labels, caches."""

import random
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from lexlip_es.errors import LexlipError
from lexlip_es.images import PictureSpec
from lexlip_training.batches import Collator, TrainingPictures
from lexlip_training.cache import CachedPictures, cache_captions, cache_view
from lexlip_training.data import Pieces, Split, caption_ids, check_bad, load_split, make_labels
from lexlip_training.parquet import read_parquet_captions
from lexlip_training.pieces import bag_start, document_frequency
from lexlip_training.recipe import AugmentRecipe, DataRecipe
from lexlip_training.views import LivePictures, global_draws, random_view
from tests.training.conftest import COLOURS, draw


@pytest.fixture
def data(square_pictures) -> DataRecipe:
    images, captions = str(square_pictures / "images"), str(square_pictures / "captions.jsonl")
    return DataRecipe(images=images, captions=captions, train="train.txt", dev="dev.txt")


def made_split() -> Split:
    return Split("train", Path("."), ("a", "b"), (("one", "two", "three"), ("four",)))


def made_pieces() -> Pieces:
    """Captions 0-2 belong to picture 0, caption 3 to picture 1; ids 101 and 102 open and close."""
    rows = [[101, 1, 2, 102], [101, 1, 1, 102], [101, 3, 102], [101, 2, 102]]
    return Pieces(np.array([i for row in rows for i in row], np.int32), np.cumsum([0, *map(len, rows)]))


def test_a_split_keeps_listed_pictures_with_captions_and_names_the_others(data, square_pictures):
    (square_pictures / "some.txt").write_text("red-blue-left.png\nmissing.png\n\nred-blue-left.png\n")
    split, absent = load_split(replace(data, train="some.txt", max_bad=0.5), "train")
    assert split.files == ("red-blue-left.png",) and absent == ["missing.png"]
    assert split.captions[0] == ("a red square on the left", "blue ground with a square that is red")


def test_without_a_list_every_captioned_picture_trains(data):
    assert len(load_split(replace(data, train=""), "train")[0]) == 41


def test_without_a_place_the_remedy_is_named():
    with pytest.raises(LexlipError, match=r"--set data\.images=FOLDER"):
        load_split(DataRecipe(), "train")


def test_too_many_missing_pictures_stop_a_run_and_the_setting_is_named(data, square_pictures):
    (square_pictures / "half.txt").write_text("red-blue-left.png\nmissing.png\n")
    with pytest.raises(LexlipError, match=r"1 of 2 pictures of the train split \(50\.0%\).*5\.0% that data\.max_bad"):
        load_split(replace(data, train="half.txt"), "train")


def test_the_share_of_bad_pictures_may_be_reached_but_not_passed():
    check_bad(5, 100, 0.05, "it")
    check_bad(0, 0, 0.0, "it")
    with pytest.raises(LexlipError, match="6 of 100"):
        check_bad(6, 100, 0.05, "it")


def test_captions_with_the_same_pieces_have_the_same_number():
    rows = [[101, 1, 102], [101, 2, 102], [101, 1, 102], [101, 1, 2, 102]]
    ids = caption_ids(Pieces(np.array([i for row in rows for i in row], np.int32), np.cumsum([0, *map(len, rows)])))
    assert ids.tolist() == [0, 1, 0, 2] and ids.dtype == np.int64


def write_parquet(path: Path, columns: dict[str, list[object]], rows_a_group: int = 2) -> Path:
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.table(columns), path, row_group_size=rows_a_group)
    return path


def test_captions_come_from_parquet_as_texts_or_lists(data, tmp_path):
    files = ["./red-blue-left.png", "red-blue-right.png", "red-blue-left.png", "green-red-left.png", "green-red-right.png"]
    path = write_parquet(tmp_path / "a.parquet", {"Image": files, "caption": ["one", "two", " three ", None, " "], "x": files})
    assert read_parquet_captions(path) == {"red-blue-left.png": ["one", "three"], "red-blue-right.png": ["two"]}
    path = write_parquet(tmp_path / "b.parquet", {"file_name": files[1:4], "captions": [["a", "b"], [], ["c", None]]})
    split, absent = load_split(replace(data, captions=str(path), train=""), "train")
    assert split.files == ("red-blue-right.png", "green-red-left.png") and not absent
    assert split.captions == (("a", "b"), ("c",))


def test_parquet_that_cannot_be_used_is_said_in_one_sentence(tmp_path, monkeypatch):
    for columns, said in (
        ({"url": ["a"], "caption": ["b"]}, "has the columns url, caption: expected one of image, file"),
        ({"image": ["a"], "caption": [1]}, "row 0: expected a caption"),
        ({"image": ["a", None], "caption": ["b", "c"]}, "row 1: expected the picture's file name"),
        ({"image": ["a"], "caption": [""]}, "holds no captions"),
    ):
        with pytest.raises(LexlipError, match=said):
            read_parquet_captions(write_parquet(tmp_path / "a.parquet", columns))
    (tmp_path / "b.parquet").write_bytes(b"not that")
    with pytest.raises(LexlipError, match="cannot be read as Parquet"):
        read_parquet_captions(tmp_path / "b.parquet")
    with pytest.raises(LexlipError, match="does not exist"):
        read_parquet_captions(tmp_path / "c.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(LexlipError, match="needs pyarrow"):
        read_parquet_captions(tmp_path / "a.parquet")


def test_captions_are_numbered_through():
    split = made_split()
    assert split.texts == ["one", "two", "three", "four"]
    assert split.starts.tolist() == [0, 3, 4] and split.picture_of.tolist() == [0, 0, 0, 1]
    assert split.without(["a"]).texts == ["four"]


def test_random_views_are_crops_of_the_asked_area_never_flipped():
    pixels = draw("red", "blue", "left")
    rng = np.random.default_rng(0)
    for _ in range(20):
        view = random_view(pixels, AugmentRecipe(min_area=0.7, max_stretch=0.1), 32, rng)
        assert view.shape == (32, 32, 3)
        red = (view == COLOURS["red"]).all(-1).nonzero()[1]
        assert red.mean() < 16  # what was on the left is still there
    whole = random_view(pixels, AugmentRecipe(min_area=1.0, max_stretch=0.0), 64, rng)
    assert np.array_equal(whole, pixels)


def test_randaugment_keeps_shape_and_type(data):
    split, _ = load_split(data, "dev")
    source = LivePictures(split, PictureSpec(32), AugmentRecipe(randaugment="rand-m9-n2"), (0.5, 0.5, 0.5))
    view, blank = source.get(0, np.random.default_rng(0)), source.blank()
    assert view.shape == blank.shape == (32, 32, 3) and view.dtype == blank.dtype == torch.uint8 and not blank.any()


def test_a_random_view_depends_on_its_generator_only_and_draws_from_no_other(data):
    split, _ = load_split(data, "dev")
    source = LivePictures(split, PictureSpec(32), AugmentRecipe(randaugment="rand-m9-n2-mstd0.5"), (0.5, 0.5, 0.5))
    seen = []
    for other in range(2):  # what was drawn globally before
        random.seed(other)
        np.random.seed(other)
        before = random.getstate(), np.random.get_state()[1].tolist(), np.random.get_state()[2]
        seen.append([source.get(row, np.random.default_rng(row)) for row in range(10)])
        assert before == (random.getstate(), np.random.get_state()[1].tolist(), np.random.get_state()[2])
    assert all(torch.equal(one, two) for one, two in zip(*seen, strict=True))
    again = [source.get(0, np.random.default_rng(seed)) for seed in range(5)]
    assert not all(torch.equal(again[0], view) for view in again[1:])


def test_global_generators_are_restored_after_an_error():
    state = random.getstate()
    with pytest.raises(ZeroDivisionError), global_draws(np.random.default_rng(0)):
        random.random()
        raise ZeroDivisionError
    assert random.getstate() == state


def test_a_policy_that_timm_does_not_know_is_named(data):
    split, _ = load_split(data, "dev")
    with pytest.raises(LexlipError, match=r"augment\.randaugment is 'much'"):
        LivePictures(split, PictureSpec(32), AugmentRecipe(randaugment="much"), (0.5, 0.5, 0.5))


def test_captions_are_drawn_without_repetition_anew_each_epoch_and_the_same_each_run():
    drawn = []
    for _ in range(2):
        pictures = TrainingPictures(made_split(), None, 2, seed=0, views=0)
        epochs = []
        for pictures.epoch in range(12):
            captions = pictures[0]["captions"].tolist()
            assert len(set(captions)) == 2 and set(captions) <= {0, 1, 2}
            epochs.append(tuple(captions))
        assert len(set(epochs)) > 1
        drawn.append(epochs)
    assert drawn[0] == drawn[1]


def test_a_picture_with_too_few_captions_says_them_again():
    assert TrainingPictures(made_split(), None, 2, seed=0, views=0)[1]["captions"].tolist() == [3, 3]


def test_a_batch_pads_captions_picture_by_picture():
    examples = [{"row": 0, "captions": np.array([2, 0]), "file": "a"}, {"row": 1, "captions": np.array([3, 3]), "file": "b"}]
    below = np.arange(14 * 2, dtype=np.float16).reshape(14, 2)
    batch = Collator(made_pieces(), below=below)(examples)
    assert batch["ids"].tolist() == [[101, 3, 102, 0], [101, 1, 2, 102], [101, 2, 102, 0], [101, 2, 102, 0]]
    assert batch["mask"].sum(1).tolist() == [3, 4, 3, 3]
    assert batch["below"][0].tolist() == [*below[8:11].tolist(), [0.0, 0.0]]


def test_unreadable_pictures_leave_the_batch_and_are_named():
    examples = [
        {"row": 0, "captions": np.array([0]), "file": "a", "picture": torch.zeros(2, 2, 3)},
        {"row": 1, "captions": np.array([3]), "file": "b", "unreadable": True},
    ]
    collate = Collator(made_pieces(), blank=torch.ones(2, 2, 3))
    batch = collate(examples)
    assert batch["rows"].tolist() == [0] and batch["skipped"] == ["b"] and len(batch["ids"]) == 1
    assert torch.equal(batch["pictures"], torch.zeros(1, 2, 2, 3))


def test_where_no_picture_can_be_read_a_blank_one_computes_along_and_counts_for_nothing():
    batch = Collator(made_pieces(), blank=torch.ones(2, 2, 3))(
        [{"row": 1, "captions": np.array([3]), "file": "b", "unreadable": True}]
    )
    assert len(batch["pictures"]) == len(batch["ids"]) == 1 and batch["skipped"] == ["b"]
    assert len(batch["rows"]) == len(batch["captions"]) == 0


def test_labels_are_the_share_of_captions_with_a_piece_and_their_log_prior():
    place_of = np.full(200, -1)
    place_of[[1, 2, 3]] = [0, 1, 2]
    labels = make_labels(made_split(), made_pieces(), place_of)
    assert labels.places.tolist() == [1]  # piece 2: 1/3 + 1 pictures; piece 1: 2/3; piece 3: 1/3
    np.testing.assert_allclose(labels.targets, [[1 / 3], [1.0]], atol=1e-3)
    rate = (1 / 3 + 1) / 2
    assert float(labels.prior[0]) == pytest.approx(np.log(rate / (1 - rate)), abs=1e-6)


def test_document_frequency_counts_captions_and_rare_pieces_weigh_more():
    counts = document_frequency(made_pieces(), 200)
    assert counts[[1, 2, 3, 101]].tolist() == [2, 2, 1, 4]
    start = bag_start(counts, 4)
    assert float(start[3]) == pytest.approx(np.log(5 / 2) / 3) and start[3] > start[1] > start[101]


def test_a_cache_keeps_what_the_prefix_gives_and_names_the_unreadable(data, tmp_path):
    split, _ = load_split(data, "train")
    calls = []

    def prefix(pixels):
        calls.append(len(pixels))
        return pixels.float().mean((1, 2))  # (B, 3)

    def view(number, augment=AugmentRecipe(), digest="d"):  # noqa: B008
        return cache_view(prefix, digest, split, PictureSpec(16), augment, number, folder=tmp_path, seed=0, report=lambda _: None)

    plain = view(0)
    assert plain.unreadable == ("broken.jpg",) and plain.features.shape == (31, 3) and plain.features.dtype == np.float16
    made = len(calls)
    view(0)
    assert len(calls) == made, "a second run reads the cache"
    crop = view(1)
    assert not np.array_equal(crop.features, plain.features)
    made = len(calls)
    view(1, AugmentRecipe(min_area=0.9))
    view(0, digest="other weights")
    assert len(calls) > made, "what decides the content decides the file"

    rows = np.flatnonzero(np.array(split.files) != "broken.jpg")
    source = CachedPictures([plain, crop], rows)
    assert source.blank().dtype == source.get(0, None).dtype and source.blank().tolist() == [0.0, 0.0, 0.0]
    assert torch.equal(source.get(3, None), torch.from_numpy(np.array(plain.features[rows[3]])))
    assert torch.equal(source.get(3, np.random.default_rng(0)), torch.from_numpy(np.array(crop.features[rows[3]])))


def test_cached_captions_lie_flat_token_by_token(tmp_path):
    pieces = made_pieces()
    hidden = cache_captions(
        lambda ids, mask: ids[..., None].float() * mask[..., None], "d", pieces, folder=tmp_path, name="x", report=lambda _: None
    )
    assert hidden[:, 0].tolist() == pieces.ids.tolist()
