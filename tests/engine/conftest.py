"""One real OpenSearch for the whole session, in a temporary home; jars and class archive are shared with the user's cache."""

import os
import uuid
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from lexlip_es.engines import ConnectionSettings, Engine, connect, embedded
from lexlip_es.engines.node.places import Places
from tests.engine.fault_proxy import FaultProxy
from tests.engine.wire import serving
from tests.servers.fixtures import server as server


@pytest.fixture(scope="session")
def make_home(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A function that makes a folder for LEXLIP_HOME, whose cache is the one that other homes use too."""
    shared = Places.find(os.environ).cache
    shared.mkdir(parents=True, exist_ok=True)

    def make(name: str) -> Path:
        home = tmp_path_factory.mktemp(name)
        (home / "cache").symlink_to(shared)
        return home

    return make


@pytest.fixture(scope="session")
def engine_home(make_home: Callable[[str], Path]) -> Iterator[Path]:
    """The LEXLIP_HOME of the session's node; whatever a test started there is stopped at the end."""
    home = make_home("node")
    yield home
    embedded.stop(home)


@pytest.fixture(scope="session")
def node(engine_home: Path) -> embedded.RunningNode:
    return embedded.start(engine_home)


@pytest.fixture(scope="session")
def engine_url(node: embedded.RunningNode) -> str:
    return node.url


@pytest.fixture(scope="session")
def engine(engine_url: str) -> Iterator[Engine]:
    connected = connect(ConnectionSettings(urls=(engine_url,)))
    yield connected
    connected.close()


@pytest.fixture
def index(engine: Engine) -> Iterator[str]:
    """A small index with one `rank_features` field, of this test alone."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    engine.create_index(
        name,
        {
            "settings": {"number_of_shards": 2, "number_of_replicas": 0},
            "mappings": {
                "dynamic": "strict",
                "properties": {"terms": {"type": "rank_features"}, "path": {"type": "keyword"}},
            },
        },
    )
    yield name
    if engine.indices(name):
        engine.delete_index(name)


class OtherServer(ThreadingHTTPServer):
    """Answers as no engine would: every request gets `answer` (status, content type, body); `seen` and `bodies` keep all."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answerer)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.answer: tuple[int, str, bytes] = (200, "application/json", b"{}")
        self.seen: list[tuple[str, str, dict[str, str]]] = []  # method, path, headers
        self.bodies: list[bytes] = []


class _Answerer(BaseHTTPRequestHandler):
    server: OtherServer

    def _serve(self) -> None:
        self.server.bodies.append(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        self.server.seen.append((self.command, self.path, {key.lower(): value for key, value in self.headers.items()}))
        status, kind, body = self.server.answer
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _serve

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def other_server() -> Iterator[OtherServer]:
    with serving(OtherServer()) as server:
        yield server


@pytest.fixture
def proxy(engine_url: str) -> Iterator[FaultProxy]:
    """Stands before the session's node and does what a test says; see `fault_proxy`."""
    with serving(FaultProxy(engine_url)) as server:
        yield server
