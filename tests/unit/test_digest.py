import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from lexlip_es.entries import LocalFile, digest
from lexlip_es.images import PictureError, content_hash, read_picture_file


class Elsewhere:
    """A place that can only be read whole."""

    def __init__(self, act: Callable[[], bytes]) -> None:
        self.read = act


def refuse(error: BaseException) -> bytes:
    raise error


def test_a_place_that_gives_no_pieces_is_read_whole() -> None:
    assert digest(Elsewhere(lambda: b"abc")) == content_hash(b"abc")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (MemoryError(), "There is not enough memory to read the file."),
        (PictureError("It is gone."), "It is gone."),
        (RuntimeError("a broken disk"), "The file cannot be read (RuntimeError: a broken disk)."),
    ],
)
def test_what_cannot_be_hashed_is_a_reason(error: Exception, reason: str) -> None:
    with pytest.raises(PictureError) as caught:
        digest(Elsewhere(lambda: refuse(error)))
    assert caught.value.reason == reason


def test_hashing_refuses_what_reading_refuses(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "giant.jpg").touch()
    os.truncate(tmp_path / "giant.jpg", (1 << 30) + 1)
    (tmp_path / "folder.jpg").mkdir()
    for name in ("pipe.jpg", "empty.jpg", "giant.jpg", "folder.jpg", "gone.jpg", "a\0b.jpg"):
        with pytest.raises(PictureError) as whole:
            read_picture_file(tmp_path / name)
        with pytest.raises(PictureError) as pieces:
            digest(LocalFile(tmp_path / name))
        assert str(pieces.value) == str(whole.value)


def test_hashing_holds_no_file_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "large.tif"
    path.touch()
    os.truncate(path, 64 << 20)
    tracemalloc.start()
    try:
        found = digest(LocalFile(path))
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found == content_hash(bytes(64 << 20))
    assert most < 4 << 20
