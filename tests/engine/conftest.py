"""One real OpenSearch for the whole session, in a temporary home; jars and class archive are shared with the user's cache."""

import json
import os
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import pytest

from lexlip_es.engines import ConnectionSettings, Engine, connect, embedded
from lexlip_es.engines.node.places import Places
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


class FaultyProxy(ThreadingHTTPServer):
    """Stands before the real node and does to bulk requests what `faults` says, one fault a request, then nothing more.

    "429" and "413" answer that status; "drop" closes the connection unread by the node; "lose" lets the node do the work and
    closes the connection without the answer; "busy" withholds every second document and answers 429 for it alone; "die"
    closes the connection and the proxy's door. `sent` lists the ids of each bulk request that arrived; `before_bulk` is
    called for each before anything else.
    """

    daemon_threads = True

    def __init__(self, target: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.target = urlsplit(target).netloc
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.faults: deque[str] = deque()
        self.sent: list[list[str]] = []
        self.before_bulk: Callable[[], object] = lambda: None

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Lost connections are what this server is for: no stack traces."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FaultyProxy

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if "/_bulk" not in self.path:
            return self._answer(*self._forward(body))
        self.server.before_bulk()
        lines = body.split(b"\n")[:-1]
        pairs = [lines[i : i + 2] for i in range(0, len(lines), 2)]
        self.server.sent.append([json.loads(pair[0])["index"]["_id"] for pair in pairs])
        fault = self.server.faults.popleft() if self.server.faults else ""
        if fault in ("429", "413"):
            return self._answer(int(fault), b'{"error":{"type":"made_up","reason":"by the proxy"}}')
        if fault in ("drop", "die"):
            if fault == "die":
                self.server.socket.close()
            return self._hang_up()
        if fault == "busy":
            return self._answer(*self._let_half_through(pairs))
        status, answer = self._forward(body)
        if fault == "lose":
            return self._hang_up()
        return self._answer(status, answer)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _serve

    def _forward(self, body: bytes) -> tuple[int, bytes]:
        connection = HTTPConnection(self.server.target, timeout=30)
        connection.request(self.command, self.path, body or None, {"Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, response.read()

    def _let_half_through(self, pairs: list[list[bytes]]) -> tuple[int, bytes]:
        status, answer = self._forward(b"".join(b"\n".join(pair) + b"\n" for pair in pairs[::2]))
        done = iter(json.loads(answer)["items"])
        busy = {"index": {"status": 429, "error": {"type": "rejected_execution_exception", "reason": "queue full"}}}
        items = [next(done) if i % 2 == 0 else busy for i in range(len(pairs))]
        return status, json.dumps({"errors": True, "items": items}).encode()

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _hang_up(self) -> None:
        self.close_connection = True
        self.connection.close()

    def log_message(self, *_: Any) -> None:
        pass


class OtherServer(ThreadingHTTPServer):
    """Answers as no engine would: every request gets `answer` (status, content type, body); `seen` keeps what arrived."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answerer)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.answer: tuple[int, str, bytes] = (200, "application/json", b"{}")
        self.seen: list[tuple[str, str, dict[str, str]]] = []  # method, path, headers


class _Answerer(BaseHTTPRequestHandler):
    server: OtherServer

    def _serve(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
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
    server = OtherServer()
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def proxy(engine_url: str) -> Iterator[FaultyProxy]:
    server = FaultyProxy(engine_url)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
