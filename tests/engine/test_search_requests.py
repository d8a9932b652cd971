"""What a search asks of the server: the hits in one request, and what the index is only now and then."""

from collections.abc import Iterator
from typing import Any

import pytest

from lexlip_es import PictureIndex, searching
from lexlip_es.documents import document_id
from lexlip_es.engines import Engine, UnknownIndexError
from lexlip_es.errors import LexlipError, ModelMismatchError
from lexlip_es.mappings import index_body, index_meta
from lexlip_es.model_folder import ModelFolder
from tests.engine.wire import Relay, serving
from tests.made_model import COLOURS, make_model

NAME = "few-requests"
FIRST, SECOND = f"{NAME}-000001", f"{NAME}-000002"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    return make_model(tmp_path_factory.mktemp("model") / "colours")


@pytest.fixture(scope="module")
def newer(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    return make_model(tmp_path_factory.mktemp("model") / "newer", name="newer", seed="1")


def make(engine: Engine, model: ModelFolder, index: str = FIRST, **options: Any) -> None:
    """An index of three pictures of one colour each, behind the alias alone."""
    body = index_body(index_meta(model, "picture", 3, **options))
    engine.create_index(index, body)
    documents = [
        {"_id": document_id("c", colour.encode()), "source": {"terms": {colour: 0.5}, "collection": "c", "path": colour}}
        for colour in COLOURS
    ]
    assert all(result.ok for result in engine.bulk(index, documents))
    engine.refresh(index)
    others = [{"remove": {"index": other, "alias": NAME}} for other in engine.indices(NAME)]
    engine.update_aliases([{"add": {"index": index, "alias": NAME}}, *others])


@pytest.fixture
def relay(engine: Engine, engine_url: str) -> Iterator[Relay]:
    with serving(Relay(engine_url)) as relay:
        yield relay
    for index in engine.indices(f"{NAME}*"):
        engine.delete_index(index)


def looks(relay: Relay) -> int:
    return int(relay.seen.count(f"GET /{NAME}?".encode()))


def test_searches_in_a_row_ask_once_what_the_index_is(
    engine: Engine, relay: Relay, model: ModelFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(engine, model)
    with PictureIndex(relay.url, NAME, model.path) as index:
        monkeypatch.setattr(searching, "TRUSTED_SECONDS", 60)
        assert [index.search(colour).hits[0].path for colour in COLOURS] == list(COLOURS)
        assert looks(relay) == 1 and relay.seen.count(b"/_search") == 3
        monkeypatch.setattr(searching, "TRUSTED_SECONDS", 0)
        assert [index.search(colour).hits[0].path for colour in COLOURS] == list(COLOURS)
        assert looks(relay) == 4


def test_another_index_behind_the_name_is_noticed_however_short_ago_the_last_look_was(
    engine: Engine, relay: Relay, model: ModelFolder, newer: ModelFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "TRUSTED_SECONDS", 60)
    make(engine, model)
    with PictureIndex(relay.url, NAME, model.path) as index:
        before = index.search("red").hits
        make(engine, model, SECOND, write_once=True)
        assert index.search("red").hits == before and looks(relay) == 2
        make(engine, newer, f"{NAME}-000003")
        for _ in range(2):
            with pytest.raises(ModelMismatchError, match="newer"):
                index.search("red")
        make(engine, model, f"{NAME}-000004")
        assert index.search("red").hits == before


def test_an_index_that_is_gone_or_another_s_is_noticed_alike(
    engine: Engine, relay: Relay, model: ModelFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "TRUSTED_SECONDS", 60)
    make(engine, model)
    with PictureIndex(relay.url, NAME, model.path) as index:
        before = index.search("red").hits
        engine.delete_index(FIRST)
        with pytest.raises(UnknownIndexError):
            index.search("red")
        engine.create_index(NAME, {})
        with pytest.raises(LexlipError, match="was not made by lexlip-es"):
            index.search("red")
        engine.delete_index(NAME)
        make(engine, model)
        assert index.search("red").hits == before


def test_an_index_made_anew_under_its_old_name_by_another_model_is_refused_a_moment_later(
    engine: Engine, relay: Relay, model: ModelFolder, newer: ModelFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(engine, model)
    with PictureIndex(relay.url, NAME, model.path) as index:
        assert index.search("red").hits
        engine.delete_index(FIRST)
        make(engine, newer)
        monkeypatch.setattr(searching, "TRUSTED_SECONDS", 0)  # the moment is over
        with pytest.raises(ModelMismatchError, match="newer"):
            index.search("red")
        monkeypatch.setattr(searching, "TRUSTED_SECONDS", 60)
        with pytest.raises(ModelMismatchError, match="newer"):
            index.search("red")


def test_a_write_once_index_is_one_request_too(engine: Engine, relay: Relay, model: ModelFolder) -> None:
    make(engine, model, write_once=True)
    with PictureIndex(relay.url, NAME, model.path) as index:
        (hit,) = index.search("red").hits
        assert [(share.term, share.picture_weight) for share in hit.terms] == [("red", 0.5)]
        assert relay.seen.count(b"/_search") == 1
        (alike,) = index.search("red", filter={"term": {"path": {"value": "red", "_name": "green"}}}).hits
        assert alike == hit
