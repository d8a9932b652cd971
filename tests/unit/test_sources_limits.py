"""What a hostile shard or server cannot do: take for ever, or send more than is read."""

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import fsspec
import pytest

from lexlip_es.entries import Found, Place, Skipped
from lexlip_es.images import PictureError
from lexlip_es.sources import open_picture_source
from lexlip_es.sources.remote import RemoteFile
from lexlip_es.sources.tar import TarMember
from tests.unit.test_sources_shards import write_tar


def test_many_sidecars_of_one_name_cost_no_more_than_as_many_pictures(tmp_path: Path) -> None:
    one = write_tar(tmp_path / "a.tar", {"a.txt": b""}).read_bytes()[:512]
    picture = write_tar(tmp_path / "b.tar", {"a.jpg": b"A"}).read_bytes()
    (tmp_path / "a.tar").write_bytes(one * 30_000 + picture)
    before = time.process_time()
    entries = list(open_picture_source(str(tmp_path / "a.tar")).entries())
    assert time.process_time() - before < 20
    assert [entry.display_path for entry in entries if isinstance(entry, Found)] == ["a.tar/a.jpg"]
    assert len(entries) == 30_000
    assert entries[-1] == Skipped(
        "a.tar/a.txt", "The tar file has another member of this name before it, which is taken.", hides=True
    )


def test_the_first_sidecar_of_a_kind_is_the_one(tmp_path: Path) -> None:
    members = [("a.jpg", b"A"), ("a.txt", b"one"), ("a.txt", b"two"), ("a.json", b'{"caption": "three"}')]
    source = open_picture_source(str(write_tar(tmp_path / "a.tar", members)))
    assert [source.extras(entry).captions for entry in source.entries() if isinstance(entry, Found)] == [("one", "three")]


class _Endless(BaseHTTPRequestHandler):
    """A server that knows of no ranges, says nothing of a length and never comes to an end."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        try:
            while self.path == "/endless.jpg":
                self.wfile.write(bytes(1 << 16))
            self.wfile.write(b"x" * 3_000_000)
        except OSError:  # nobody listens any more
            pass

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    """The address of that server."""
    endless = ThreadingHTTPServer(("127.0.0.1", 0), _Endless)
    threading.Thread(target=endless.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{endless.server_port}"
    endless.shutdown()
    endless.server_close()


def test_a_server_that_sends_without_end_is_left(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lexlip_es.sources.remote.MAX_FILE_BYTES", 10 << 20)
    system = fsspec.filesystem("http", use_listings_cache=False)
    for size in (5, None):
        with pytest.raises(PictureError, match="larger than"):
            RemoteFile(system, f"{server}/endless.jpg", size).read()
    place = RemoteFile(system, f"{server}/whole.jpg", 5)
    assert place.read() == b"x" * 3_000_000 == b"".join(place.pieces())


class _Full:
    """A file system, and a file of it, of a machine without memory."""

    protocol = "full"

    def open(self, *_: object) -> "_Full":
        return self

    def __enter__(self) -> "_Full":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def read(self, _: int) -> bytes:
        raise MemoryError


def test_too_little_memory_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_tar(tmp_path / "a.tar", {"a.jpg": b"A"})
    monkeypatch.setattr("os.pread", _raise)
    places: list[Place] = [RemoteFile(_Full(), "a.jpg", 3), TarMember(path, 512, 1)]
    for place in places:
        with pytest.raises(PictureError, match="There is not enough memory to read the file"):
            place.read()


def _raise(*_: object) -> bytes:
    raise MemoryError
