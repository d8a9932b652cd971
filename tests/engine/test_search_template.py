"""The stored search template on servers that have the mustache module."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from typer.testing import CliRunner

from lexlip_es.cli import app
from lexlip_es.mappings import search_template
from tests.servers import Server, on_servers

pytestmark = on_servers("opensearch-3.9.0", "opensearch-2.19.6", "elasticsearch-7.17.29")
INDEX = "templated-pictures"
SHOULD = [{"rank_feature": {"field": "terms.dog", "boost": 2.0, "linear": {}}}]


@pytest.fixture(scope="module")
def templated(server: Server) -> Iterator[Server]:
    installed = CliRunner().invoke(app, ["mapping", "--search-template", "--install", "--url", server.url])
    assert installed.exit_code == 0, installed.output
    server.request(
        "PUT", f"/{INDEX}", {"mappings": {"properties": {"terms": {"type": "rank_features"}, "path": {"type": "keyword"}}}}
    )
    for number in range(1, 13):
        server.request("PUT", f"/{INDEX}/_doc/{number}", {"terms": {"dog": float(number)}, "path": str(number)})
    server.request("POST", f"/{INDEX}/_refresh")
    yield server
    server.request("DELETE", f"/{INDEX}")
    server.request("DELETE", "/_scripts/lexlip")


def ask(server: Server, **params: Any) -> tuple[int, Any]:
    return server.request("POST", f"/{INDEX}/_search/template", {"id": "lexlip", "params": params})


def scores(server: Server, **params: Any) -> list[float]:
    status, answer = ask(server, **params)
    assert status == 200, answer
    assert all("terms" not in hit["_source"] for hit in answer["hits"]["hits"])
    return [hit["_score"] for hit in answer["hits"]["hits"]]


def test_it_ranks_as_the_search_does_with_sane_defaults(templated: Server) -> None:
    best = [2.0 * number for number in range(12, 0, -1)]
    assert scores(templated, should=SHOULD) == best[:10]
    assert scores(templated, should=SHOULD, size=3, **{"from": 2}) == best[2:5]
    assert scores(templated, should=SHOULD, size=0) == []
    only = {"terms": {"path": ["1", "12"]}}
    assert scores(templated, should=SHOULD, filter=only) == scores(templated, should=SHOULD, filter=[only]) == [24.0, 2.0]
    assert scores(templated, should=SHOULD, filter=None) == scores(templated, should=SHOULD, filter=[]) == best[:10]
    assert scores(templated, should=SHOULD, filter=[only, {"term": {"path": "1"}}]) == [2.0]


def test_parameters_are_checked(templated: Server) -> None:
    for nothing in ({}, {"should": []}, {"should": None}):
        status, answer = ask(templated, **nothing)
        assert status == 400 and "lexlip needs the parameter should" in json.dumps(answer)
    for wrong in ('1, "explain": true', "many"):
        for name in ("size", "from"):
            status, answer = ask(templated, should=SHOULD, **{name: wrong})
            assert status == 400, (name, wrong, answer)


def test_printed_it_is_what_any_client_stores(templated: Server) -> None:
    printed = json.loads(CliRunner().invoke(app, ["mapping", "--search-template"]).stdout)
    assert printed == search_template()
    stored = templated.request("GET", "/_scripts/lexlip")[1]["script"]
    assert stored["source"] == printed["script"]["source"] and stored["lang"] == "mustache"
