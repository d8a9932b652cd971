"""A document whose file is still there is never taken for gone, whatever is wrong with the file or with what is said of it."""

import json
import os
import sys
import tarfile
import uuid
from pathlib import Path

import fsspec
import pytest

from lexlip_es.changes import below
from lexlip_es.entries import Found, Skipped
from lexlip_es.sources import PictureSource, open_picture_source
from tests.unit.test_sources_shards import Members, special, write_tar


def kept(source: PictureSource) -> list[str]:
    """The paths that hide documents, of which there is one for each skipped file."""
    return [entry.display_path for entry in source.entries() if isinstance(entry, Skipped) and entry.hides]


@pytest.fixture(autouse=True)
def without_heic(monkeypatch: pytest.MonkeyPatch) -> None:
    """HEIC was read when the index was made, and is not any more."""
    monkeypatch.setitem(sys.modules, "pillow_heif", None)


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_of_a_kind_that_is_not_read_any_more(scheme: str, tmp_path: Path) -> None:
    for name in ("a.jpg", "sub/b.heic", "c.jxl"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert kept(open_picture_source(f"{scheme}{tmp_path}")) == ["c.jxl", "sub/b.heic"]


def test_with_a_value_that_does_not_fit_any_more(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    (tmp_path / "t.csv").write_text("image,price\na.jpg,cheap\ngone.jpg,cheap\n")
    assert kept(open_picture_source(str(tmp_path / "t.csv"), meta=["price:double"])) == ["a.jpg"]


def test_behind_a_row_whose_name_was_lost(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    (tmp_path / "t.csv").write_text("image,caption\na.jpg,x\n,was b.jpg\n")
    hidden = set(kept(open_picture_source(str(tmp_path / "t.csv"))))
    assert below("b.jpg", hidden) and below("any/other.jpg", hidden)


def test_in_a_shard(tmp_path: Path) -> None:
    members: Members = {
        "heic.heic": b"A",
        "caption.jpg": b"A",
        "caption.json": b'{"caption": 3}',
        "utf.jpg": b"A",
        "utf.txt": b"\xff",
        "price.jpg": b"A",
        "price.json": json.dumps({"price": "cheap"}).encode(),
        "link.jpg": special(tarfile.LNKTYPE, "price.jpg"),
        "good.jpg": b"A",
    }
    source = open_picture_source(str(write_tar(tmp_path / "a.tar", members)), meta=["price:double"])
    names = ["heic.heic", "caption.jpg", "utf.jpg", "price.jpg", "link.jpg"]
    assert kept(source) == [f"a.tar/{name}" for name in names]
    assert not below("a.tar/good.jpg", set(kept(source)))


@pytest.mark.parametrize("content", [b"", b"\x1f\x8b" + bytes(999), b"no tar" * 500])
def test_in_a_shard_that_cannot_be_read(content: bytes, tmp_path: Path) -> None:
    write_tar(tmp_path / "b.tar", {"k.jpg": b"B"})
    (tmp_path / "a.tar").write_bytes(content)
    hidden = set(kept(open_picture_source(str(tmp_path / "*.tar"))))
    assert below("a.tar/sub/k.jpg", hidden) and not below("b.tar/k.jpg", hidden)


def test_in_a_shard_whose_place_a_pipe_has_taken(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", {"k.jpg": b"A"})
    (place,) = (entry.place for entry in open_picture_source(str(path)).entries() if isinstance(entry, Found))
    path.unlink()
    os.mkfifo(path)
    (met,) = open_picture_source(str(path)).entries()  # and it waits for nobody
    assert met == Skipped("a.tar", "It is a folder, a pipe, a socket or a device, not a tar file.", hides=True)
    with pytest.raises(Exception, match="It is a folder, a pipe"):
        place.read()


def test_deeper_than_a_remote_walk_goes() -> None:
    folder = f"memory://{uuid.uuid4().hex}"
    system, path = fsspec.core.url_to_fs(folder)
    for depth in (0, 99, 100, 300):
        system.pipe(f"{path}/{'d/' * depth}a.jpg", b"x")
    entries = list(open_picture_source(folder).entries())
    assert [entry.display_path.count("/") for entry in entries if isinstance(entry, Found)] == [0, 99]
    (left,) = (entry for entry in entries if isinstance(entry, Skipped))
    assert left.hides and left.reason == "The folder lies more than 100 folders deep: not entered."
    assert below("d/" * 300 + "a.jpg", {left.display_path})
