"""The table of bad input: what is at the address, or behind the name, and the sentence and exit code that a command ends with.

The states of an index are real ones of a real server; what only a proxy or a cloud's gate answers comes from a small server.
"""

import os
import re
import ssl
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme

from lexlip_es.cli import main
from lexlip_es.encoders import load_encoder
from lexlip_es.engines import Engine
from lexlip_es.engines.http_engine import HttpEngine
from lexlip_es.engines.retries import RetryPolicy
from lexlip_es.indexing import index_source
from lexlip_es.loading import Run
from lexlip_es.mappings import index_body, index_meta
from lexlip_es.model_folder import ModelFolder
from lexlip_es.sources.folder import PictureFolder
from tests.engine.conftest import OtherServer
from tests.engine.fault_proxy import FaultProxy, answering
from tests.engine.house import in_process
from tests.engine.wire import Relay, serving
from tests.made_model import COLOURS, make_model, paint_colours

ALIAS, INDEX = "bad", "bad-000001"
NO_RIGHT = b'{"error": {"type": "security_exception", "reason": "action [indices:data/read/search] is unauthorized"}}'


@dataclass
class Scene:
    """What a case is made of: the real server, servers that misbehave, a model and three pictures."""

    engine: Engine
    url: str
    other: OtherServer
    proxy: FaultProxy
    model: ModelFolder
    pictures: Path
    stack: ExitStack

    def answering(self, status: int, kind: str, body: bytes) -> str:
        """The URL of a server that says this to everything."""
        self.other.answer = status, kind, body
        return self.other.url

    def answering_loads(self, status: int) -> str:
        """The URL of a gate before the real server that says this to every bulk request."""
        self.proxy.usually = answering(status)
        return self.proxy.url

    def with_tls(self) -> str:
        """The http:// URL of a server that speaks TLS."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        trustme.CA().issue_cert("localhost").configure_cert(context)
        return str(self.stack.enter_context(serving(Relay(self.url, context))).url).replace("https:", "http:")

    def loaded(self, **settings: Any) -> str:
        """The real server's URL, with the pictures in the index and these settings on it."""
        index_source(
            self.engine, in_process(Run.of(load_encoder(self.model), self.pictures)), PictureFolder(self.pictures), ALIAS
        )
        if settings:
            self.engine.put_settings(INDEX, {"index": settings})
        return self.url

    def read_only(self) -> str:
        """An index that may not be written to, and a picture whose document has to be."""
        os.utime(next(self.pictures.glob("*.png")), (1, 1))
        url = self.loaded(**{"blocks.read_only_allow_delete": True})
        os.utime(next(self.pictures.glob("*.png")), (2, 2))
        return url

    def closed(self) -> str:
        self.loaded()
        self.engine.request("POST", f"/{INDEX}/_close")
        return self.url

    def red(self) -> str:
        """An index whose shard no node may hold."""
        body = index_body(index_meta(self.model, "picture", 3))
        body["settings"]["index"]["routing.allocation.require._name"] = "nowhere"
        body["aliases"] = {ALIAS: {}}
        self.engine.request("PUT", f"/{INDEX}", body=body, params={"wait_for_active_shards": "0"})
        return self.url

    def of_two(self) -> str:
        self.loaded()
        self.engine.create_index("bad-000002", {"aliases": {ALIAS: {}}})
        return self.url

    def foreign(self) -> str:
        self.engine.create_index(ALIAS, {})
        return self.url

    def dotted(self) -> str:
        """A document of somebody else with a dot in a term, which this server takes and never finds by that term."""
        self.loaded()
        source = {"path": "theirs.png", "terms": {"3.5": 9.0, "red": 0.5}}
        assert [result.ok for result in self.engine.bulk(INDEX, [{"_id": "theirs", "source": source}])] == [True]
        self.engine.refresh(INDEX)
        return self.url


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    return make_model(tmp_path_factory.mktemp("bad") / "colours")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return paint_colours(tmp_path_factory.mktemp("photos"))


@pytest.fixture
def scene(
    engine: Engine, engine_url: str, other_server: OtherServer, proxy: FaultProxy, model: ModelFolder, pictures: Path
) -> Iterator[Scene]:
    with ExitStack() as stack:
        yield Scene(engine, engine_url, other_server, proxy, model, pictures, stack)
    for name in engine.request("GET", f"/{ALIAS}*", params={"expand_wildcards": "all"}):
        engine.delete_index(name)


Place = Callable[[Scene], str]
# What is wrong -> the URL, the command, what it says, the exit code.
TABLE: dict[str, tuple[Place, str, str, int]] = {
    "a URL without http://": (
        lambda _: "localhost:9200",
        "search",
        r"--url is not a URL of an engine: write it as http://HOST:PORT",
        2,
    ),
    "http:// without a port": (
        lambda _: "http://localhost",
        "search",
        r"--url names no port: write it, for example http://HOST:9200 \(https:// without one means 443\)",
        2,
    ),
    "an unknown host": (
        lambda _: "http://nowhere.invalid:9200",
        "search",
        r"the engine at http://nowhere.invalid:9200 does not answer \(its name is not known\): start it, or set LEXLIP_ES_URL",
        1,
    ),
    "a port where nothing listens": (
        lambda _: "http://127.0.0.1:9",
        "search",
        r"does not answer \(connection refused\): start it, or set LEXLIP_ES_URL",
        1,
    ),
    "http for https": (Scene.with_tls, "search", r"if it speaks TLS, its URL begins with https://", 1),
    "https for http": (
        lambda scene: scene.url.replace("http:", "https:"),
        "search",
        r"does not speak TLS: write its URL with http://",
        1,
    ),
    "a proxy's HTML page": (
        lambda scene: scene.answering(200, "text/html", b"<html>Log in</html>"),
        "search",
        r"gave an answer that cannot be read: check LEXLIP_ES_URL",
        1,
    ),
    "401": (
        lambda scene: scene.answering(401, "application/json", b"{}"),
        "search",
        r"wants to know who asks: set LEXLIP_ES_USERNAME and LEXLIP_ES_PASSWORD, LEXLIP_ES_API_KEY or LEXLIP_ES_BEARER",
        1,
    ),
    "403": (
        lambda scene: scene.answering(403, "application/json", NO_RIGHT),
        "search",
        r"this user may not do that on .* \(action .* is unauthorized\): have the right granted",
        1,
    ),
    "404 to everything": (
        lambda scene: scene.answering(404, "text/html", b"<html>Not found</html>"),
        "search",
        r"answers, but is neither OpenSearch nor Elasticsearch: check LEXLIP_ES_URL",
        1,
    ),
    "no such index": (lambda scene: scene.url, "search", r"there is no index 'bad' on .*: make it with `lexlip-es index", 1),
    "413 to every bulk request": (
        lambda scene: scene.answering_loads(413),
        "index",
        r"left out red.png: .*a request was larger than .* accepts: raise its http.max_content_length",
        1,
    ),
    "429 for longer than anybody waits": (
        lambda scene: scene.answering_loads(429),
        "index",
        r"takes no more for now \(by the proxy\): try again later",
        1,
    ),
    "503": (
        lambda scene: scene.answering(503, "text/html", b"<html>No backend</html>"),
        "search",
        r"is not ready \(status 503: no reason given\): look at its health, or try again later",
        1,
    ),
    "a read-only index": (
        Scene.read_only,
        "index",
        r"blocks this \(.*read-only-allow-delete block\]\): free disk space there or lift the block, then go on",
        1,
    ),
    "a red shard": (
        Scene.red,
        "search",
        r"a part of bad on .* is on no node that runs: GET /_cluster/allocation/explain there says why",
        1,
    ),
    "a closed index, searched": (Scene.closed, "search", r"bad on .* is closed: open it there \(POST /bad/_open\)", 1),
    "a closed index, written": (Scene.closed, "index", r"bad-000001 on .* is closed: open it there", 1),
    "an alias to two indices, searched": (
        Scene.of_two,
        "search",
        r"bad stands for 2 indices \(bad-000001, bad-000002\): name one of them with --index",
        1,
    ),
    "an alias to two indices, written": (Scene.of_two, "index", r"alias bad stands for 2 indices.*: name another one", 1),
    "a foreign index, searched": (Scene.foreign, "search", r"was not made by lexlip-es and is left alone: choose another", 1),
    "a foreign index, written": (Scene.foreign, "index", r"was not made by lexlip-es and is left alone: choose another", 1),
}


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    lines: list[str]


@pytest.fixture
def run(scene: Scene, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[[str, str], Ended]:
    """Runs a command against a URL, with a load's patience cut from half a minute to almost nothing."""
    short = RetryPolicy(attempts=3, first=0.01)
    monkeypatch.setitem(HttpEngine.__init__.__kwdefaults__, "loading", short)
    monkeypatch.setenv("LEXLIP_ES_MODEL", str(scene.model.path))
    monkeypatch.delenv("LEXLIP_ES_URL", raising=False)
    what = {"search": ["something red"], "index": ["--images", str(scene.pictures)]}

    def command(name: str, url: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["lexlip-es", name, *what[name], "--index", ALIAS, "--url", url])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return Ended(int(ended.value.code or 0), out, err.strip().splitlines())

    return command


@pytest.mark.parametrize("wrong", TABLE)
def test_what_is_wrong_is_said_in_one_sentence(scene: Scene, run: Callable[[str, str], Ended], wrong: str) -> None:
    place, command, said, code = TABLE[wrong]
    ended = run(command, place(scene))
    assert (ended.code, ended.out) == (code, "")
    if wrong.startswith("413"):  # said of each picture by its name, before the summary
        *lines, _ = ended.lines
        assert len(lines) == len(COLOURS)
    else:
        lines = ended.lines
        assert len(lines) == 1 and lines[0].startswith("lexlip-es: ")
    matching = [line for line in lines if re.search(said, line)]
    assert matching, lines
    print(f"| {wrong} | `{matching[0]}` | {ended.code} |")  # the table of the README: pytest -rP
    assert matching[0].endswith(".") and ". " not in matching[0]


def test_a_foreign_document_with_a_dotted_term_is_found_by_its_other_terms(
    scene: Scene, run: Callable[[str, str], Ended]
) -> None:
    ended = run("search", scene.dotted())
    assert (ended.code, ended.lines) == (0, [])
    assert "theirs.png" in ended.out and "red" in ended.out and "3.5" not in ended.out
