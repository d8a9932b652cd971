import json
import logging
import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme

from lexlip_es.engines import ConnectionSettings, Engine, EngineUnreachableError, UnknownIndexError, connect
from lexlip_es.engines.opensearch import OpenSearchEngine
from lexlip_es.errors import LexlipError, UsageError
from tests.engine.wire import Relay, serving

DOG = {"terms": {"dog": 2.0, "##s": 1.0}, "path": "dog.jpg"}
UNREADABLE = r"gave an answer that cannot be read: check LEXLIP_ES_URL\.$"
CAT = {"terms": {"cat": 4.0, "dog": 0.5}, "path": "cat.jpg"}


def fill(engine: Engine, index: str) -> None:
    documents = [{"_id": "1", "source": DOG}, {"_id": "2", "source": CAT}]
    assert [(result.id, result.ok, result.status) for result in engine.bulk(index, documents)] == [
        ("1", True, 201),
        ("2", True, 201),
    ]
    engine.refresh(index)


def wants(term: str, boost: float) -> dict[str, Any]:
    return {"query": {"rank_feature": {"field": f"terms.{term}", "linear": {}, "boost": boost}}}


def test_the_node_is_the_locked_opensearch(engine: Engine) -> None:
    assert engine.info().product == "opensearch"
    assert engine.info().version == (3, 9, 0)


def test_documents_go_in_and_come_out_ranked(engine: Engine, index: str) -> None:
    fill(engine, index)
    answer = engine.search(index, wants("dog", 3.0), include_named_queries_score=True)
    assert [(hit["_id"], hit["_score"]) for hit in answer["hits"]["hits"]] == [("1", 6.0), ("2", 1.5)]
    first, second = engine.msearch(index, [wants("cat", 1.0), wants("##s", 1.0)])
    assert [hit["_id"] for hit in first["hits"]["hits"]] == ["2"]
    assert [hit["_id"] for hit in second["hits"]["hits"]] == ["1"]
    assert engine.msearch(index, []) == []


def test_scan_and_count_see_every_document(engine: Engine, index: str) -> None:
    documents: list[dict[str, Any]] = [{"_id": str(i), "source": {"path": f"{i % 7}.jpg"}} for i in range(2_500)]
    assert all(result.ok for result in engine.bulk(index, documents))
    engine.refresh(index)
    assert engine.count(index) == 2_500
    assert {found["_id"]: found["source"]["path"] for found in engine.scan(index)} == {
        document["_id"]: document["source"]["path"] for document in documents
    }
    chosen = {"term": {"path": "3.jpg"}}
    assert len(list(engine.scan(index, chosen, []))) == engine.count(index, chosen) == 357
    assert next(engine.scan(index, fields=["terms"]))["source"] == {}


def test_deleting_what_is_not_there_is_a_success(engine: Engine, index: str) -> None:
    fill(engine, index)
    results = list(engine.bulk(index, [{"_id": "1", "delete": True}, {"_id": "gone", "delete": True}]))
    assert [(result.ok, result.status) for result in results] == [(True, 200), (True, 404)]
    engine.refresh(index)
    assert engine.count(index) == 1


def test_an_alias_moves_in_one_step(engine: Engine, index: str) -> None:
    alias = f"alias-{index}"
    engine.update_aliases([{"add": {"index": index, "alias": alias}}])
    assert list(engine.indices(alias)) == [index]
    assert list(engine.indices(index)[index]["aliases"]) == [alias]
    with pytest.raises(LexlipError):
        engine.update_aliases([{"remove": {"index": index, "alias": alias}}, {"add": {"index": "no-such-index", "alias": alias}}])
    assert list(engine.indices(alias)) == [index]


def test_settings_and_mapping_can_be_changed(engine: Engine, index: str) -> None:
    engine.put_settings(index, {"index": {"refresh_interval": "-1"}})
    engine.put_mapping(index, {"_meta": {"lexlip": {"schema": 1}}})
    found = engine.indices(index)[index]
    assert found["settings"]["index"]["refresh_interval"] == "-1"
    assert found["mappings"]["_meta"] == {"lexlip": {"schema": 1}}
    engine.put_settings(index, {"index": {"refresh_interval": None}})
    assert "refresh_interval" not in engine.indices(index)[index]["settings"]["index"]


def test_force_merge_leaves_the_documents(engine: Engine, index: str) -> None:
    fill(engine, index)
    engine.force_merge(index)
    assert engine.count(index) == 2


def test_indices_that_do_not_exist_are_none(engine: Engine) -> None:
    assert engine.indices("no-such-index") == engine.indices("no-such-*") == {}


def test_an_unknown_index_is_named_with_the_remedy(engine: Engine, engine_url: str) -> None:
    asked: list[Callable[[], object]] = [
        lambda: engine.search("nowhere", {}),
        lambda: engine.msearch("nowhere", [{}]),
        lambda: engine.count("nowhere"),
        lambda: engine.refresh("nowhere"),
        lambda: engine.delete_index("nowhere"),
        lambda: engine.put_settings("nowhere", {"index": {"refresh_interval": "1s"}}),
        lambda: list(engine.scan("nowhere")),
        lambda: list(engine.bulk("nowhere", [{"_id": "1", "source": DOG}])),
    ]
    for ask in asked:
        with pytest.raises(UnknownIndexError, match=r"no index 'nowhere'.*lexlip-es index") as error:
            ask()
        assert engine_url in str(error.value)
    assert engine.indices("nowhere") == {}  # and the bulk made none


def test_an_index_is_not_made_twice_nor_deleted_by_wildcard(engine: Engine, index: str) -> None:
    with pytest.raises(LexlipError, match="already exists"):
        engine.create_index(index, {})
    for name in ("test-*", "_all", f"{index},other"):
        with pytest.raises(UsageError):
            engine.delete_index(name)
    with pytest.raises(UsageError, match="empty"):
        engine.search("", {})


def test_a_refused_query_says_why_in_one_line(engine: Engine, index: str) -> None:
    with pytest.raises(LexlipError, match="no_such_query") as error:
        engine.search(index, {"query": {"no_such_query": {}}})
    assert "\n" not in str(error.value)
    with pytest.raises(LexlipError, match="no_such_query"):
        engine.msearch(index, [{"query": {"no_such_query": {}}}])
    with pytest.raises(LexlipError, match="finite"):
        engine.search(index, wants("dog", float("nan")))


def closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def test_a_dead_engine_is_one_sentence_within_a_second(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    url = f"http://127.0.0.1:{closed_port()}"
    settings = ConnectionSettings.from_environment({"LEXLIP_ES_URL": url.replace("//", "//ann:hush@")})
    began = time.monotonic()
    with pytest.raises(EngineUnreachableError, match=r"connection refused.*LEXLIP_ES_URL") as error:
        connect(settings)
    assert time.monotonic() - began < 3
    assert url in str(error.value)
    assert "hush" not in str(error.value) + caplog.text


def test_a_dead_embedded_engine_names_its_log() -> None:
    engine = OpenSearchEngine(ConnectionSettings(urls=(f"http://127.0.0.1:{closed_port()}",)), log=Path("/some/node.log"))
    with pytest.raises(EngineUnreachableError, match=r"its log is /some/node\.log"):
        list(engine.bulk("pictures", [{"_id": "1", "source": DOG}]))


@pytest.mark.parametrize(("answer", "sentence"), [('{"hello": "world"}', "neither OpenSearch nor"), ("<html>", UNREADABLE)])
def test_a_server_that_is_no_engine_is_refused(other_server: Any, answer: str, sentence: str) -> None:
    other_server.answer = 200, "application/json", answer.encode()
    with pytest.raises(LexlipError, match=sentence):
        connect(ConnectionSettings(urls=(other_server.url,)))


def test_versions_compare_whatever_they_are_called(other_server: Any) -> None:
    engine = OpenSearchEngine(ConnectionSettings(urls=(other_server.url,)))
    for number, version in [("3.9.0", (3, 9, 0)), ("8.x.1-SNAPSHOT", (8, 0, 1)), ("serverless", (0,)), ("²", (0,))]:
        other_server.answer = 200, "application/json", json.dumps({"version": {"number": number}}).encode()
        assert (engine.info().version, engine.info().number) == (version, number)


EVERY_QUESTION: list[Callable[[Engine], object]] = [
    lambda engine: engine.info(),
    lambda engine: engine.indices("pictures"),
    lambda engine: engine.count("pictures"),
    lambda engine: engine.search("pictures", {}),
    lambda engine: engine.msearch("pictures", [{}]),
    lambda engine: list(engine.scan("pictures")),
    lambda engine: list(engine.bulk("pictures", [{"_id": "1", "source": DOG}])),
    lambda engine: engine.refresh("pictures"),
]


@pytest.mark.parametrize(
    ("status", "kind", "body"),
    [
        (200, "text/plain", b"ready"),
        (200, "text/html", b"<p>Welcome</p>"),
        (200, "application/json", b"[]"),
        (200, "application/json", b""),
        (200, "application/json", b'"caf\xe9"'),
        (200, "application/json", b"[" * 100_000),
        (500, "application/json", b'["broken"]'),
    ],
)
def test_a_body_that_no_engine_gives_is_one_sentence(other_server: Any, status: int, kind: str, body: bytes) -> None:
    other_server.answer = status, kind, body
    engine = OpenSearchEngine(ConnectionSettings(urls=(other_server.url,)))
    for ask in EVERY_QUESTION:
        with pytest.raises(LexlipError) as error:
            ask(engine)
        if status == 200:
            assert str(error.value) == f"{other_server.url} gave an answer that cannot be read: check LEXLIP_ES_URL."


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"took": 1, "hits": {}},
        {"took": 1, "hits": {"hits": {}}},
        {"took": 1, "hits": {"hits": ["dog.jpg"]}},
        {"took": 1, "hits": {"hits": [{"_score": "high"}]}},
        {"took": 1, "hits": {"hits": [{"_score": [1]}]}},
        {"took": 1, "hits": {"hits": [{"_score": 1.0, "_source": "dog.jpg"}]}},
        {"took": "soon", "hits": {"hits": []}},
        {"took": True, "hits": {"hits": []}},
        {"hits": {"hits": []}},
        {"count": "many", "responses": [[]], "items": [7]},
        {"count": None, "responses": {}, "items": [{"index": {"status": "ok"}}]},
        {"responses": [], "items": []},
    ],
)
def test_an_answer_of_another_shape_is_one_sentence(other_server: Any, answer: dict[str, Any]) -> None:
    other_server.answer = 200, "application/json", json.dumps(answer).encode()
    together = {"responses": [answer], **answer}
    engine = OpenSearchEngine(ConnectionSettings(urls=(other_server.url,)))
    for ask in EVERY_QUESTION[2:7]:
        with pytest.raises(LexlipError, match=UNREADABLE):
            ask(engine)
    other_server.answer = 200, "application/json", json.dumps(together).encode()
    with pytest.raises(LexlipError, match=UNREADABLE):
        engine.msearch("pictures", [{}])


def test_an_index_without_mappings_is_no_index(other_server: Any) -> None:
    other_server.answer = 200, "application/json", b'{"pictures": {"aliases": {}, "settings": {}}}'
    with pytest.raises(LexlipError, match=UNREADABLE):
        OpenSearchEngine(ConnectionSettings(urls=(other_server.url,))).indices("pictures")


@pytest.mark.parametrize("score", ['"Infinity"', "Infinity", "NaN", "1e999", '"nan"'])
def test_a_score_that_is_not_finite_is_refused(other_server: Any, score: str) -> None:
    answer = f'{{"took": 1, "hits": {{"hits": [{{"_id": "1", "_score": {score}}}]}}}}'
    engine = OpenSearchEngine(ConnectionSettings(urls=(other_server.url,)))
    for body, ask in [(answer, EVERY_QUESTION[3]), (f'{{"responses": [{answer}]}}', EVERY_QUESTION[4])]:
        other_server.answer = 200, "application/json", body.encode()
        with pytest.raises(LexlipError, match="a score that is not finite"):
            ask(engine)


def test_a_score_as_a_text_is_a_number(other_server: Any) -> None:
    hits = [{"_id": "1", "_score": "1.5"}, {"_id": "2", "_score": 1}, {"_id": "3", "_score": None}]
    other_server.answer = 200, "application/json", json.dumps({"took": 1, "hits": {"hits": hits}}).encode()
    answer = OpenSearchEngine(ConnectionSettings(urls=(other_server.url,))).search("pictures", {})
    assert [hit["_score"] for hit in answer["hits"]["hits"]] == [1.5, 1.0, None]


def test_a_merge_is_not_asked_for_twice_while_it_may_go_on(other_server: Any) -> None:
    other_server.answer = 504, "application/json", b"{}"
    with pytest.raises(LexlipError, match="504"):
        OpenSearchEngine(ConnectionSettings(urls=(other_server.url,))).force_merge("pictures")
    assert [path.partition("?")[0] for _, path, _ in other_server.seen] == ["/pictures/_forcemerge"]


def test_tls_to_a_server_without_it_says_so(engine_url: str) -> None:
    with pytest.raises(LexlipError, match=r"TLS|connection was lost"):
        connect(ConnectionSettings(urls=(engine_url.replace("http:", "https:"),)))


def test_a_certificate_is_trusted_through_ca_certs_alone(engine_url: str, tmp_path: Path) -> None:
    authority, certificate = trustme.CA(), tmp_path / "certificate.pem"
    authority.cert_pem.write_to_path(str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    with serving(Relay(engine_url, context)) as relay:
        with pytest.raises(LexlipError, match=r"not trusted .*LEXLIP_ES_CA_CERTS"):
            connect(ConnectionSettings(urls=(relay.url,)))
        trusting = ConnectionSettings.from_environment({"LEXLIP_ES_URL": relay.url, "LEXLIP_ES_CA_CERTS": str(certificate)})
        assert connect(trusting).info().number == "3.9.0"


def test_a_second_node_serves_where_the_first_does_not_answer(engine_url: str) -> None:
    engine = OpenSearchEngine(ConnectionSettings(urls=(f"http://127.0.0.1:{closed_port()}", engine_url)))
    assert [engine.info().number for _ in range(3)] == ["3.9.0"] * 3


def test_a_login_is_sent_in_utf8(other_server: Any) -> None:
    other_server.answer = 200, "application/json", b'{"version": {"number": "3.9.0", "distribution": "opensearch"}}'
    for env, expected in [
        ({"LEXLIP_ES_API_KEY": "a2V5"}, "ApiKey a2V5"),
        ({"LEXLIP_ES_BEARER": "token"}, "Bearer token"),
        ({"LEXLIP_ES_USERNAME": "ann", "LEXLIP_ES_PASSWORD": "hush"}, "Basic YW5uOmh1c2g="),
        ({"LEXLIP_ES_USERNAME": "änn", "LEXLIP_ES_PASSWORD": "п€"}, "Basic w6RubjrQv+KCrA=="),
        ({"LEXLIP_ES_USERNAME": "ann", "LEXLIP_ES_PASSWORD": "\udcff"}, "Basic YW5uOv8="),  # as the environment gives b"\xff"
    ]:
        OpenSearchEngine(ConnectionSettings.from_environment(env, url=other_server.url)).info()
        assert other_server.seen[-1][2]["authorization"] == expected
