import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lexlip_es.decoding import Decoders
from lexlip_es.errors import LexlipError
from lexlip_es.images import PictureError, PictureSpec, open_picture
from lexlip_es.query_pictures import QueryPictures
from tests.unit.picture_files import encoded, photograph

SPEC = PictureSpec(32)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "a.png"
    path.write_bytes(encoded(photograph(40, 30)))
    return path


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Decoders]:
    """The decoders that are made, in their order."""
    made: list[Decoders] = []
    begin = Decoders.__init__

    def noted(self: Decoders, spec: PictureSpec, *, workers: int | None = None) -> None:
        made.append(self)
        begin(self, spec, workers=workers)

    monkeypatch.setattr(Decoders, "__init__", noted)
    return made


def test_pixels_are_those_of_this_process_from_one_other_that_stays(picture: Path, started: list[Decoders]) -> None:
    here = open_picture(picture, SPEC).pixels
    with QueryPictures(SPEC) as pictures, ThreadPoolExecutor(4) as pool:
        assert not started
        assert all((pixels == here).all() for pixels in pool.map(pictures.pixels, [picture] * 20))
        (decoders,) = started
        assert len(decoders.pids) == 1 and os.getpid() not in decoders.pids
    assert decoders.pids == []
    assert (pictures.pixels(picture) == here).all()  # another process
    pictures.close()


def test_what_is_no_picture_is_named_as_it_was_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, picture: Path) -> None:
    with QueryPictures(SPEC) as pictures:
        pictures.pixels(picture)
        monkeypatch.chdir(tmp_path)  # the process was started elsewhere
        assert pictures.pixels(Path("a.png")).shape == (32, 32, 3)
        (tmp_path / "b.jpg").write_bytes(b"no picture")
        with pytest.raises(PictureError, match=r"^b\.jpg: The content is not a JPEG"):
            pictures.pixels(Path("b.jpg"))
        with pytest.raises(PictureError, match=r"^gone\.jpg: The file does not exist"):
            pictures.pixels(Path("gone.jpg"))


def test_a_process_that_could_not_be_started_is_tried_again(picture: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with QueryPictures(SPEC) as pictures:
        with monkeypatch.context() as broken:
            broken.setattr("multiprocessing.spawn._python_exe", b"/bin/false")
            with pytest.raises(LexlipError, match="No process can be started"):
                pictures.pixels(picture)
        assert pictures.pixels(picture).shape == (32, 32, 3)


def test_a_fork_starts_a_process_of_its_own_and_ends_no_other(picture: Path, started: list[Decoders]) -> None:
    with QueryPictures(SPEC) as pictures:
        pictures.pixels(picture)
        before = started[0].pids
        child = os.fork()
        if child == 0:
            try:
                fine = pictures.pixels(picture).shape == (32, 32, 3) and len(started) == 2
                pictures.close()
                os._exit(0 if fine else 1)
            finally:
                os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        pictures.pixels(picture)
        assert started[0].pids == before and started[0].lost == 0
