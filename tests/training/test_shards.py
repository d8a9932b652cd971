"""Webdataset shards: what is found in them, what is left out by name, and that damage stays where it is."""

import io
import json
import pickle
import tarfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lexlip_es.errors import LexlipError
from lexlip_es.images import PictureError, PictureSpec, open_picture
from lexlip_training import shards
from lexlip_training.cache import cache_view
from lexlip_training.data import load_split
from lexlip_training.recipe import AugmentRecipe, DataRecipe
from lexlip_training.shards import read_shards
from lexlip_training.views import LivePictures
from tests.training.conftest import draw


def picture(number: int, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(draw("red", ("blue", "green", "white", "yellow")[number % 4], "left")).save(buffer, kind)
    return buffer.getvalue()


def write_tar(path: Path, members: dict[str, bytes], form: int = tarfile.PAX_FORMAT) -> Path:
    with tarfile.open(path, "w", format=form) as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def pairs(first: int, count: int) -> dict[str, bytes]:
    members = {}
    for i in range(first, first + count):
        members |= {f"{i:05}.png": picture(i), f"{i:05}.txt": f"caption {i}".encode()}
    return members


def offset_of(path: Path, member: str) -> int:
    with tarfile.open(path) as tar:
        return tar.getmember(member).offset


@pytest.fixture
def folder(tmp_path) -> Path:
    for shard in range(3):
        write_tar(tmp_path / f"{shard:05}.tar", pairs(4 * shard, 4))
    return tmp_path


def test_pictures_are_read_in_place_with_captions_from_text_and_json(tmp_path):
    both = json.dumps({"caption": "said twice", "url": "u"}).encode()
    members = {
        "sub/a.JPG": picture(0, "JPEG"),
        "sub/a.json": both,
        "sub/a.txt": b"said twice\n",
        "b.txt": "grün".encode(),  # before its picture
        "b.webp": picture(1, "WEBP"),
        "./c.v2.png": picture(2),
        "./c.v2.json": json.dumps({"captions": ["one", " two ", "", None]}).encode(),
        "x" * 150 + ".gif": picture(3, "GIF"),  # a name that needs a header of its own
        "x" * 150 + ".txt": b"long",
        "c.v2.cls": b"3",
    }
    for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        write_tar(tmp_path / "a.tar", members, form)
        found = read_shards(tmp_path, ["a.tar"])
        long = f"a.tar/{'x' * 150}.gif"
        assert found.files == ("a.tar/sub/a.JPG", "a.tar/b.webp", "a.tar/c.v2.png", long)
        assert found.captions == (("said twice",), ("grün",), ("one", "two"), ("long",))
        assert not found.left_out and not found.bad
        assert found.pictures.read(1) == picture(1, "WEBP") and found.pictures.read(3) == picture(3, "GIF")


def test_splits_are_globs_and_training_takes_the_rest(folder):
    recipe = DataRecipe(shards=str(folder), dev="00001.tar", test="00002*")
    splits = {name: load_split(recipe, name)[0] for name in ("train", "dev", "test")}
    assert splits["train"].files == tuple(f"00000.tar/{i:05}.png" for i in range(4))
    assert splits["dev"].files[0] == "00001.tar/00004.png" and splits["test"].texts[-1] == "caption 11"
    everything, _ = load_split(DataRecipe(shards=str(folder), train="*.tar"), "train")
    assert len(everything) == 12 and everything.picture(11) == picture(11)
    fewer = everything.without(everything.files[:5])
    assert fewer.picture(0) == picture(5) and fewer.captions[0] == ("caption 5",)


def test_what_a_recipe_gets_wrong_about_shards_is_named(folder):
    for recipe, name, said in (
        (DataRecipe(shards=str(folder)), "dev", r"set data\.dev to a glob of tar files"),
        (DataRecipe(shards=str(folder / "no")), "train", r"correct data\.shards"),
        (DataRecipe(shards=str(folder), dev="x*.tar"), "dev", r"'x\*\.tar': correct data\.dev"),
        (DataRecipe(shards=str(folder), images="a"), "train", r"data\.shards and data\.images"),
    ):
        with pytest.raises(LexlipError, match=said):
            load_split(recipe, name)
    (folder / "z.tar").write_bytes(b"not a tar")
    with pytest.raises(LexlipError, match="no picture with a caption"):
        load_split(DataRecipe(shards=str(folder), train="z.tar"), "train")


def test_unusable_members_are_counted_and_named_once(tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "MAX_FILE_BYTES", 5000)
    monkeypatch.setattr(shards, "MAX_CAPTION_BYTES", 50)
    members = {
        **pairs(0, 2),
        "alone.png": picture(0),
        "said.txt": b"no picture",
        "large.png": bytes(5001),
        "large.txt": b"a large one",
        "empty.png": b"",
        "long.png": picture(0),
        "long.txt": b"a" * 51,
        "odd.png": picture(0),
        "odd.json": b'{"caption": "\\ud800"}',
        "broken.png": picture(0),
        "broken.json": b"[" * 40,
        "latin.png": picture(0),
        "latin.txt": "grün".encode("latin-1"),
        "00001.jpg": picture(1, "JPEG"),  # a second picture of a key
    }
    write_tar(tmp_path / "a.tar", members)
    found = read_shards(tmp_path, ["a.tar"])
    assert found.files == ("a.tar/00000.png", "a.tar/00001.png")
    names = ["00001.jpg", "alone.png", "broken.png", "empty.png", "large.png", "latin.png", "long.png", "odd.png", "said"]
    assert sorted(found.left_out) == [f"a.tar/{name}" for name in names] and found.bad == 9


@pytest.mark.parametrize("where", ["inside a picture", "between members", "before the end marker"])
def test_a_shard_cut_short_keeps_what_is_whole(folder, where):
    path = folder / "00001.tar"
    at = offset_of(path, "00006.png")
    if where == "before the end marker":
        at = offset_of(path, "00007.txt") + 1024
    path.write_bytes(path.read_bytes()[: at + (600 if where == "inside a picture" else 0)])
    found = read_shards(folder, ["00000.tar", "00001.tar", "00002.tar"])
    kept = 4 if where == "before the end marker" else 2
    assert len(found.files) == 8 + kept and "00001.tar" in found.left_out and found.bad >= max(1, 4 - kept)
    assert [found.pictures.read(i) for i in range(8 + kept)][-1] == picture(11)


def test_a_damaged_header_costs_its_member_only(folder):
    path = folder / "00001.tar"
    at = offset_of(path, "00005.png")
    data = bytearray(path.read_bytes())
    data[at : at + 100] = b"\xff" * 100
    path.write_bytes(data)
    split, left_out = load_split(DataRecipe(shards=str(folder), max_bad=0.2), "train")
    assert len(split) == 11 and left_out == ["00001.tar", "00001.tar/00005"]


def test_shards_that_are_no_tar_files_count_for_what_they_would_have_held(folder):
    (folder / "00003.tar").write_bytes(b"")
    (folder / "00004.tar").write_bytes(b"<html>not found</html>" * 100)
    found = read_shards(folder, [f"{i:05}.tar" for i in range(6)])  # 5 does not exist
    assert len(found.files) == 12 and found.left_out == ("00003.tar", "00004.tar", "00005.tar") and found.bad == 12
    with pytest.raises(LexlipError, match=r"8 of 20 pictures of the train split \(40\.0%\).*data\.max_bad"):
        load_split(DataRecipe(shards=str(folder)), "train")


def test_joined_shards_and_global_headers_are_no_damage(tmp_path):
    one, two = write_tar(tmp_path / "1", pairs(0, 2)), write_tar(tmp_path / "2", pairs(2, 2))
    (tmp_path / "a.tar").write_bytes(one.read_bytes() + two.read_bytes())
    with tarfile.open(tmp_path / "b.tar", "w", pax_headers={"comment": "made by hand"}) as tar:
        for name, data in pairs(4, 1).items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    found = read_shards(tmp_path, ["a.tar", "b.tar"])
    assert len(found.files) == 5 and not found.left_out and found.pictures.read(4) == picture(4)


def test_a_shard_that_shrinks_or_goes_is_an_unreadable_picture(folder):
    found = read_shards(folder, ["00000.tar"])
    data = (folder / "00000.tar").read_bytes()
    (folder / "00000.tar").write_bytes(data[: offset_of(folder / "00000.tar", "00003.png")])
    assert found.pictures.read(2) == picture(2)
    with pytest.raises(PictureError, match="shorter"):
        found.pictures.read(3)
    (folder / "00000.tar").unlink()
    with pytest.raises(PictureError, match="cannot be read"):
        found.pictures.read(0)


def test_live_and_cached_pictures_come_from_shards_as_from_files(folder, tmp_path):
    members = {**pairs(0, 2), "bad.png": b"no picture", "bad.txt": b"nothing"}
    write_tar(folder / "dev.tar", members)
    split, _ = load_split(DataRecipe(shards=str(folder), dev="dev.tar"), "dev")
    spec = PictureSpec(16)
    source = LivePictures(split, spec, AugmentRecipe(), (0.5, 0.5, 0.5))
    assert torch.equal(source.get(1, None), torch.from_numpy(open_picture(picture(1), spec).pixels))
    with pytest.raises(PictureError, match="not a JPEG"):
        source.get(2, None)
    cached = cache_view(
        lambda pixels: pixels.float(), "d", split, spec, AugmentRecipe(), 0, folder=tmp_path / "c", seed=0, report=lambda _: None
    )
    assert np.array_equal(cached.features[1], source.get(1, None).numpy()) and cached.unreadable == ("dev.tar/bad.png",)


def test_forked_and_spawned_readers_do_not_disturb_each_other(folder):
    pictures = read_shards(folder, ["00000.tar", "00001.tar", "00002.tar"]).pictures
    assert pickle.loads(pickle.dumps(pictures)).read(7) == picture(7)
    with ProcessPoolExecutor(2, mp_context=get_context("fork")) as pool:
        rows = list(range(12)) * 4
        assert list(pool.map(pictures.read, rows)) == [picture(row) for row in rows]
