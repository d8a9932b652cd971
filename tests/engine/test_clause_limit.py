"""A limit of clauses that somebody set: queries are cut by weight and say so, and no refusal of the server reaches anybody."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from lexlip_es import PictureIndex
from lexlip_es.encoders import load_encoder
from lexlip_es.engines import ConnectionSettings, Engine, connect
from lexlip_es.engines.node.places import Places
from lexlip_es.errors import UsageError
from lexlip_es.indexing import index_source
from lexlip_es.loading import Run
from lexlip_es.model_folder import ModelFolder, starter_path
from lexlip_es.searching import Searcher
from lexlip_es.subjects import Subject
from lexlip_es.texts import TextFile
from tests.engine.wire import Relay, serving
from tests.servers.elasticsearch import start_elasticsearch

NAME, LIMIT = "cut", 6
SETTING = "indices.query.bool.max_clause_count"
WORDS = "a brown dog and a black cat run on a sandy beach beside the blue sea"


@pytest.fixture(scope="module")
def model() -> ModelFolder:
    return ModelFolder.open(starter_path())


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    file = tmp_path / "texts.txt"
    file.write_text("a dog on a beach\na red car in the street\n")
    return file


def index_texts(engine: Engine, model: ModelFolder, texts: Path) -> None:
    index_source(engine, Run.of(load_encoder(model), texts), TextFile(texts), NAME)


@pytest.fixture
def limited(engine: Engine, model: ModelFolder, texts: Path) -> Iterator[Callable[[int | None], None]]:
    """Two texts in an index; the function sets the limit of the node that all tests share."""

    def set_limit(number: int | None) -> None:
        engine.request("PUT", "/_cluster/settings", body={"transient": {SETTING: number}})

    index_texts(engine, model, texts)
    yield set_limit
    set_limit(None)
    for name in engine.indices(f"{NAME}-*"):
        engine.delete_index(name)


def searches(relay: Relay) -> int:
    return relay.seen.count(b"/_search")


def test_opensearch_s_limit_is_learned_once_from_its_refusal(limited: Any, engine_url: str, model: ModelFolder) -> None:
    limited(LIMIT)
    with ExitStack() as stack:
        relay = stack.enter_context(serving(Relay(engine_url)))
        index = stack.enter_context(PictureIndex(relay.url, NAME, model.path))
        found = index.search(WORDS)
        (note,) = found.notes
        assert note.endswith(f"were left out: the server takes no more than {LIMIT} clauses ({SETTING}).")
        assert found.hits[0].caption == "a dog on a beach"
        assert searches(relay) == 2
        filter = {"bool": {"should": [{"term": {"caption": "dog"}}, {"term": {"caption": "car"}}]}}
        filtered = index.search(WORDS, filter=filter)
        assert searches(relay) == 3
        assert int(filtered.notes[0].split()[0]) == int(note.split()[0]) + 2
        assert index.explain(WORDS, found.hits[0].id).score > 0
        assert "/_cluster/settings" not in relay.seen.decode("latin-1")
        limited(LIMIT - 2)
        assert f"no more than {LIMIT - 2} clauses" in index.search(WORDS).notes[0]


def test_a_query_within_the_limit_is_one_request_without_a_word(limited: Any, engine_url: str, model: ModelFolder) -> None:
    limited(None)
    with serving(Relay(engine_url)) as relay, PictureIndex(relay.url, NAME, model.path) as index:
        assert index.search(WORDS).notes == []
        assert searches(relay) == 1


def test_a_filter_counts_by_what_the_server_makes_of_it(limited: Any, engine: Engine, model: ModelFolder) -> None:
    searcher = Searcher(engine, load_encoder(model), NAME)
    limited(LIMIT)
    found = searcher.search(subject(model), filter={"match": {"caption": "dog cat car"}})
    assert found.hits and found.notes
    refused = rf"the filter, or the query's demands and phrases, have more clauses than the server takes \({LIMIT}\): use fewer"
    with pytest.raises(UsageError, match=refused):
        searcher.search(subject(model), filter={"match": {"caption": "a b c d e f g h"}})
    with pytest.raises(UsageError, match=refused):
        searcher.search(Subject.of(searcher.encoder, "+a +b +c +d +e +f +g"))


def test_the_words_that_captions_are_asked_count_too(limited: Any, engine_url: str, model: ModelFolder) -> None:
    with PictureIndex(engine_url, NAME, model.path) as index:
        limited(12)
        assert index.search("dog beach car", hybrid=True).notes  # three fields are asked each word
        found = index.search("dog beach car", hybrid=True).hits[0]
        assert len(found.terms) <= 3 and [share.field for share in found.texts] == ["caption"]
        limited(None)
        assert index.search("日" * 2_000 + " dog", hybrid=True).notes == []  # no more is asked than the model reads


def subject(model: ModelFolder) -> Subject:
    return Subject.of(load_encoder(model), WORDS)


def test_a_limit_in_a_node_s_own_settings_is_learned_alike(model: ModelFolder, texts: Path) -> None:
    def set_limit(*_: Any) -> dict[str, Any]:
        return {"xpack.security.enabled": False, SETTING: LIMIT}

    cache = Places.find(os.environ).cache / "test-servers"
    server = start_elasticsearch("elasticsearch-7.17.29-limited", "7.17.29", cache, secure=set_limit)
    try:
        engine = connect(ConnectionSettings(urls=(server.url,)))
        index_texts(engine, model, texts)
        with PictureIndex(server.url, NAME, model.path) as index:
            found = index.search(WORDS)
            assert f"no more than {LIMIT} clauses" in found.notes[0]
            assert found.hits[0].caption == "a dog on a beach"
            assert index.explain(WORDS, found.hits[0].id).score > 0
        engine.close()
    finally:
        server.stop()
