"""A house in which an index is rebuilt: a server, a folder of pictures, two models. `test_rebuild*` import its fixtures."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import urllib3
from PIL import Image

from lexlip_es import rebuilding
from lexlip_es.dialects import FieldType
from lexlip_es.encoders import load_encoder
from lexlip_es.engines import ConnectionSettings, Engine, connect
from lexlip_es.engines.retries import RetryPolicy
from lexlip_es.errors import LexlipError
from lexlip_es.indexing import index_source
from lexlip_es.loading import Run
from lexlip_es.mappings import index_meta
from lexlip_es.model_folder import ModelFolder
from lexlip_es.rebuilding import rebuild_index
from lexlip_es.report import Report
from lexlip_es.sources.folder import PictureFolder
from lexlip_es.target import create_for_load
from tests.made_model import COLOURS, make_model
from tests.servers import Server, on_servers

# Which server has which terms: `rank_features` of Elasticsearch 8 and 9 come with no package.
FIELDS: dict[str, FieldType] = {
    "opensearch-3.9.0": "rank_features",
    "opensearch-2.19.6": "rank_features",
    "elasticsearch-9.5.3": "sparse_vector",
    "elasticsearch-8.19.21": "sparse_vector",
    "elasticsearch-7.17.29": "rank_features",
}
CHOSEN = os.environ.get("LEXLIP_TEST_SERVERS", "").split()
rebuilding_servers = on_servers(*(CHOSEN or FIELDS))
# What our side decides is the same on all: shown on one server of each product.
one_of_each_product = on_servers(*(CHOSEN or ("opensearch-3.9.0", "elasticsearch-7.17.29")))
ALIAS, FIRST, SECOND = "hues", "hues-000001", "hues-000002"
PHOTOS = "the photos"
BEAT = 0.1


def in_process(run: Run) -> Run:
    """The run without decoding processes, whose start takes longer than all the rest of a few pictures."""
    return replace(run, workers=0)


@dataclass
class House:
    """A server, a folder of three pictures, and the models old and new."""

    engine: Engine
    fields: FieldType
    folder: Path
    model: ModelFolder
    newer: ModelFolder

    def run(self, model: ModelFolder | None = None, terms: int | None = None) -> Run:
        return in_process(Run.of(load_encoder(model or self.model), self.folder, collection=PHOTOS, terms=terms))

    def index(self, folder: Path | None = None, collection: str = PHOTOS) -> None:
        run = in_process(Run.of(load_encoder(self.model), self.folder, collection=collection))
        index_source(self.engine, run, PictureFolder(folder or self.folder), ALIAS, field_type=self.fields)

    def rebuild(self, model: ModelFolder | None = None, *, run: Run | None = None, sources: Any = None, **options: Any) -> Report:
        run = run or self.run(model)
        sources = sources or [(PHOTOS, PictureFolder(self.folder))]
        return rebuild_index(self.engine, run, sources, ALIAS, **{"beat_seconds": BEAT, **options})

    def behind(self) -> list[str]:
        return sorted(self.engine.indices(ALIAS))

    def beside(self) -> list[str]:
        return sorted(self.engine.indices(f"{ALIAS}*"))

    def paths(self) -> list[str]:
        self.engine.refresh(ALIAS)
        return sorted(hit["source"]["path"] for hit in self.engine.scan(ALIAS))

    def meta(self, index: str) -> dict[str, Any]:
        meta: dict[str, Any] = self.engine.indices(index)[index]["mappings"]["_meta"]["lexlip"]
        return meta

    def start_unfinished(self, index: str = SECOND) -> dict[str, Any]:
        """What a rebuild that was killed leaves behind."""
        marked = {**index_meta(self.model, "picture", 3, self.fields), "rebuild": {"id": "gone", "beat": 7}}
        return create_for_load(self.engine, index, marked)


def painted(folder: Path, *names: str) -> Path:
    folder.mkdir(exist_ok=True)
    for number, name in enumerate(names):
        Image.new("RGB", (20, 10), COLOURS[number % 3]).save(folder / name)
    return folder


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[ModelFolder, ModelFolder]:
    folder = tmp_path_factory.mktemp("models")
    return make_model(folder / "old"), make_model(folder / "new", name="newer", seed="1")


@pytest.fixture(scope="session")
def connected(server: Server) -> Iterator[Engine]:
    engine = connect(ConnectionSettings(urls=(server.url,)))
    yield engine
    engine.close()


@pytest.fixture
def house(
    server: Server, connected: Engine, models: tuple[ModelFolder, ModelFolder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[House]:
    monkeypatch.setattr(rebuilding, "LAST_SEARCHES_SECONDS", 0.5)
    folder = painted(tmp_path / "photos", "red.png", "green.png", "blue.png")
    yield House(connected, FIELDS[server.name], folder, *models)
    for index in connected.indices(f"{ALIAS}*"):
        connected.delete_index(index)


def once(action: Callable[[], object]) -> Callable[[], None]:
    """The action, to be carried out at the first call only."""
    waiting = [action]

    def act() -> None:
        if waiting:
            waiting.pop()()

    return act


def losing(monkeypatch: pytest.MonkeyPatch, engine: Engine, address: str, times: int, *, done: bool = False) -> None:
    """Lose the next requests to an address, or with `done` their answers; half a minute of patience is cut to little."""
    real: Any = engine
    send, left = real._send, [None] * times

    def lossy(request: Any, timeout: Any) -> Any:
        if address not in request.target or not left:
            return send(request, timeout)
        left.pop()
        if done:
            send(request, timeout)
        raise urllib3.exceptions.ProtocolError("lost on the way")

    monkeypatch.setattr(engine, "_send", lossy)
    monkeypatch.setattr(engine, "_loading", RetryPolicy(attempts=8, first=0.01, longest=0.05))


def said(attempt: Callable[[], object], kind: type[LexlipError] = LexlipError) -> str:
    with pytest.raises(kind) as refusal:
        attempt()
    return str(refusal.value)
