"""Which server answers, and that every method of the protocol works on each kind."""

import subprocess
import sys
import types
from contextlib import ExitStack
from typing import Any

import pytest

from lexlip_es.engines import ConnectionSettings, Engine, connect
from lexlip_es.engines.elasticsearch import ElasticsearchEngine
from lexlip_es.engines.opensearch import OpenSearchEngine
from lexlip_es.engines.plain import PlainEngine
from lexlip_es.errors import LexlipError
from tests.engine.wire import Canned, serving
from tests.servers import Server

IMPORTED = """
import sys
from lexlip_es.engines import ConnectionSettings, connect
connect(ConnectionSettings(urls=(sys.argv[1],)), briefly="briefly" in sys.argv).indices("*")
print(*sorted({"opensearchpy", "elastic_transport", "elasticsearch", "botocore"} & set(sys.modules)))
"""


def imported_for(*arguments: str) -> list[str]:
    ran = subprocess.run([sys.executable, "-c", IMPORTED, *arguments], capture_output=True, text=True, check=True)
    return ran.stdout.split()


def test_an_opensearch_is_known_and_asked_once(engine_url: str, other_server: Any) -> None:
    engine = connect(ConnectionSettings(urls=(engine_url,)))
    assert isinstance(engine, OpenSearchEngine)
    assert (engine.server.product, engine.server.version) == ("opensearch", (3, 9, 0))
    assert imported_for(engine_url) == ["opensearchpy"]
    other_server.answer = 200, "application/json", b'{"version": {"number": "2.19.6", "distribution": "opensearch"}}'
    engine = connect(ConnectionSettings(urls=(other_server.url,)))
    assert engine.server == engine.server == engine.info()
    assert len(other_server.seen) == 2  # the second by info(), which always asks


def test_an_elasticsearch_is_known_by_its_first_page(other_server: Any) -> None:
    for number, version in [("9.5.3", (9, 5, 3)), ("7.17.29", (7, 17, 29)), ("serverless", (0,))]:
        page = b'{"version": {"number": "%s"}, "tagline": "You Know, for Search"}' % number.encode()
        other_server.answer = 200, "application/json", page
        engine = connect(ConnectionSettings(urls=(other_server.url,)))
        assert isinstance(engine, ElasticsearchEngine)
        assert (engine.server.product, engine.server.version, engine.server.number) == ("elasticsearch", version, number)


def test_an_engine_built_directly_asks_when_it_must(other_server: Any) -> None:
    engine = ElasticsearchEngine(ConnectionSettings(urls=(other_server.url,)))
    assert other_server.seen == []
    other_server.answer = 200, "application/json", b'{"version": {"number": "8.19.21"}}'
    assert engine.server.version == engine.server.version == (8, 19, 21)
    assert len(other_server.seen) == 1


def test_amazon_serverless_is_not_asked_for_a_version() -> None:
    settings = ConnectionSettings(urls=("https://pictures.example",), aws_region="eu-west-1", aws_service="aoss")
    server = PlainEngine(settings, access=types.SimpleNamespace(nodes=())).server
    assert (server.product, server.number) == ("opensearch", "serverless")


@pytest.mark.parametrize("status", [b"404 Not Found", b"405 Not Allowed"])
def test_a_server_with_neither_page_is_no_engine(status: bytes) -> None:
    with ExitStack() as stack:
        page = stack.enter_context(serving(Canned(b"HTTP/1.1 " + status, b"Content-Length: 0", b"", b"")))
        with pytest.raises(LexlipError, match=f"{page.url} answers, but is neither OpenSearch nor Elasticsearch"):
            connect(ConnectionSettings(urls=(page.url,)))
        assert [request.split()[1].partition(b"?")[0] for request in page.seen] == [b"/", b"/_nodes/_local"]


@pytest.mark.parametrize(
    ("module", "build", "remedy"),
    [
        ("opensearchpy", OpenSearchEngine, "pip install 'opensearch-py>=3,<4'"),
        ("elastic_transport", ElasticsearchEngine, "pip install 'elasticsearch>=8.19,<9'"),
    ],
)
@pytest.mark.parametrize("installed", [None, types.ModuleType("of another age")])
def test_a_client_that_does_not_fit_is_named_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch, module: str, build: Any, remedy: str, installed: Any
) -> None:
    monkeypatch.setitem(sys.modules, module, installed)
    with pytest.raises(LexlipError, match=remedy) as error:
        build(ConnectionSettings(urls=("http://127.0.0.1:1",)))
    assert "does not fit" in str(error.value)


@pytest.fixture(params=[False, True], ids=["client", "briefly"])
def real(server: Server, request: pytest.FixtureRequest) -> Any:
    engine = connect(ConnectionSettings(urls=(server.url,)), briefly=request.param)
    yield engine
    for name in engine.indices("lexlip-protocol-*"):
        engine.delete_index(name)
    engine.close()


def test_every_method_works_on_every_server(real: Engine, server: Server) -> None:
    assert (real.server.product, real.server.number) == (server.product, server.version)
    assert real.server == real.info()
    client = "opensearchpy" if server.product == "opensearch" else "elastic_transport"
    assert (imported_for(server.url), imported_for(server.url, "briefly")) == ([client], [])
    first, second, alias = "lexlip-protocol-1", "lexlip-protocol-2", "lexlip-protocol"
    real.put_template("lexlip-protocol", {"index_patterns": ["lexlip-protocol-*"], "template": {"settings": _ONE_COPY}})
    mappings = {"dynamic": "strict", "properties": {"path": {"type": "keyword"}}}
    try:
        for name in (first, second):
            real.create_index(name, {"mappings": mappings})
    finally:
        real.request("DELETE", "/_index_template/lexlip-protocol")
    assert real.indices(first)[first]["settings"]["index"]["number_of_replicas"] == "0"  # by the template
    real.update_aliases([{"add": {"index": first, "alias": alias}}])
    swap = [{"remove": {"index": first, "alias": alias}}, {"add": {"index": second, "alias": alias}}]
    real.update_aliases(swap)
    assert list(real.indices(alias)) == [second]
    assert real.indices("lexlip-protocol-none") == {}
    real.put_settings(second, {"index": {"refresh_interval": "-1"}})
    real.put_mapping(second, {"_meta": {"lexlip": {"schema": 1}}})
    body = real.indices(second)[second]
    assert body["settings"]["index"]["refresh_interval"] == "-1"
    assert body["mappings"]["_meta"] == {"lexlip": {"schema": 1}}

    documents = [{"_id": f"ä/{i}", "source": {"path": f"{i % 7}.jpg"}} for i in range(2_100)]
    results = list(real.bulk(second, [*documents, {"_id": "gone", "delete": True}, {"_id": "bad", "source": {"colour": 1}}]))
    assert [result.status for result in results if not (result.ok and result.status == 201)] == [404, 400]
    assert (results[-2].ok, results[-1].error_type) == (True, "strict_dynamic_mapping_exception")
    real.refresh(second)
    chosen = {"term": {"path": "3.jpg"}}
    assert (real.count(alias), real.count(alias, chosen)) == (2_100, 300)
    assert {found["_id"] for found in real.scan(alias)} == {document["_id"] for document in documents}
    assert len(list(real.scan(alias, chosen, []))) == 300
    assert sorted(real.columns(alias, ["path", "none"], chosen)) == [["3.jpg", None]] * 300
    found = real.search(alias, {"query": chosen, "size": 1, "explain": True}, track_total_hits=True)
    assert found["hits"]["total"] == {"value": 300, "relation": "eq"}
    assert found["hits"]["hits"][0]["_explanation"]["value"] == found["hits"]["hits"][0]["_score"]
    both = real.msearch(alias, [{"query": chosen}, {"query": {"term": {"path": "none"}}}])
    assert [len(answer["hits"]["hits"]) for answer in both] == [10, 0]
    real.force_merge(second)
    for ask in (lambda: real.search("nowhere", {}), lambda: list(real.bulk("nowhere", documents))):
        with pytest.raises(LexlipError, match="no index 'nowhere'"):
            ask()
    with pytest.raises(LexlipError, match="already exists"):
        real.create_index(first, {})
    with pytest.raises(LexlipError, match="no_such_query"):
        real.search(alias, {"query": {"no_such_query": {}}})
    real.put_settings(second, {"index": {"blocks": {"write": True}}})
    with pytest.raises(LexlipError, match="lift the block"):
        list(real.bulk(second, documents[:1]))


_ONE_COPY = {"number_of_shards": 2, "number_of_replicas": 0}
