"""Everything that is pasted into Kibana or Dashboards, or asked by their panels, sent to real servers as those send it.

How they do was read in their sources: the query bar's Lucene text goes into `bool.must`, as JSON where it begins with a brace and
else as a `query_string` (`from_user.ts`, `from_lucene.ts`); pills go into `bool.filter`; a Vega specification with `%context%`
gets the same `bool` as its query (`es_query_parser.ts`); a terms aggregation ordered by a count is ordered by `_count`.
"""

import json
import shlex
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from typer.testing import CliRunner

from lexlip_es import PictureIndex
from lexlip_es.cli import app
from lexlip_es.dialects import FieldType, family_for
from lexlip_es.documents import document_id, features
from lexlip_es.engines import ConnectionSettings, connect
from lexlip_es.kibana.objects import BarQuery, saved_objects
from lexlip_es.mappings import index_body, index_meta, search_template
from lexlip_es.model_folder import ModelFolder, starter_path
from lexlip_es.weights import SparseWeights, prepare_documents
from tests.servers import Server, on_servers

pytestmark = on_servers("opensearch-3.9.0", "opensearch-2.19.6", "elasticsearch-9.5.3", "elasticsearch-7.17.29")
INDEX, URL = "in-kibana", "http://engine.example:9200"
QUERIES = ("a dog on the beach", "a dog^3 in the street -leash width:>1000", '"red dog" folder:a')
PICTURES: dict[str, tuple[dict[str, float], int]] = {  # path -> its words, and its width
    "a/dog.jpg": ({"dog": 3.0, "beach": 1.0, "the": 0.7}, 3000),
    "a/leash.jpg": ({"dog": 2.0, "leash": 1.5, "the": 0.4}, 2000),
    "red_car.jpg": ({"red": 2.0, "car": 2.5, "street": 0.5}, 1000),
    "street.jpg": ({"street": 2.0, "dog": 0.3, "[unused7]": 0.2, ".": 0.1}, 2000),
}


@pytest.fixture(scope="module")
def index(server: Server) -> Iterator[PictureIndex]:
    model = ModelFolder.open(starter_path())
    engine = connect(ConnectionSettings(urls=(server.url,)))
    field: FieldType = "sparse_vector" if sparse(server) else "rank_features"
    body = index_body(index_meta(model, "picture", 64, field), family=family_for(engine.server, field), server=engine.server)
    engine.create_index(f"{INDEX}-000001", {**body, "aliases": {INDEX: {}}})
    documents = []
    for path, (words, width) in PICTURES.items():
        terms = [model.lexicon.piece_id(word) for word in words]
        row = prepare_documents(SparseWeights.from_rows([(terms, list(words.values()))]), 64).row(0)
        said = {"path": path, "folder": path.split("/")[:-1], "width": width, "collection": "/c", "content_hash": path}
        source = {"terms": features(row, model.lexicon), "top_terms": list(words), **said}
        documents.append({"_id": document_id("/c", path.encode()), "source": source})
    assert all(result.ok for result in engine.bulk(INDEX, documents))
    engine.refresh(INDEX)
    with PictureIndex(server.url, INDEX, model.path) as opened:
        yield opened
    engine.delete_index(f"{INDEX}-000001")
    engine.close()


def sparse(server: Server) -> bool:
    return server.name == "elasticsearch-9.5.3"


def pasted(server: Server, query: str, target: str) -> str:
    """What `lexlip-es query --for` prints."""
    return printed("query", query, "--for", target, *index_of(server))


def saved(server: Server, query: str) -> BarQuery:
    """What the bar of the dashboard holds that `lexlip-es kibana export` writes."""
    dashboard = json.loads(printed("kibana", "export", query, *index_of(server)).splitlines()[-1])
    held: BarQuery = json.loads(dashboard["attributes"]["kibanaSavedObjectMeta"]["searchSourceJSON"])["query"]["query"]
    return held


def index_of(server: Server) -> list[str]:
    return ["--index", INDEX, *(["--form", "sparse_vector"] if sparse(server) else [])]


@cache  # the same for several servers
def printed(*arguments: str) -> str:
    run = CliRunner().invoke(app, arguments, env={"LEXLIP_ES_URL": URL})
    assert run.exit_code == 0, run.output
    return run.stdout.strip()


def ask(server: Server, method: str, path: str, body: Any) -> Any:
    status, answer = server.request(method, path, body)
    assert status == 200, answer
    return answer


def scores(answer: Any) -> list[tuple[str, float]]:
    """Of the hits in their order."""
    return [(hit["_source"]["path"], hit["_score"]) for hit in answer["hits"]["hits"]]


def found(index: PictureIndex, query: str) -> list[tuple[str, float]]:
    hits = [(hit.path, hit.score) for hit in index.search(query).hits]
    assert hits
    return hits


def from_bar(held: BarQuery) -> dict[str, Any]:
    """The query of a page whose bar holds this, or this text was typed into."""
    typed = json.loads(held) if isinstance(held, str) and held.startswith("{") else held
    query = {"query_string": {"query": typed, "analyze_wildcard": True}} if isinstance(typed, str) else typed
    return {"bool": {"must": [query] if held else [], "filter": [], "should": [], "must_not": []}}


@pytest.mark.parametrize("query", QUERIES)
def test_whatever_is_pasted_ranks_as_the_search_does(server: Server, index: PictureIndex, query: str) -> None:
    expected = found(index, query)
    first, _, body = pasted(server, query, "dev-tools").partition("\n")
    method, path = first.split()
    assert scores(ask(server, method, f"/{path}", json.loads(body))) == expected

    bar = {"query": from_bar(pasted(server, query, "lucene")), "sort": [{"_score": {"order": "desc"}}]}
    assert scores(ask(server, "POST", f"/{INDEX}/_search", bar)) == expected

    *_, address, _, data = shlex.split(pasted(server, query, "curl"))
    assert scores(ask(server, "POST", address.removeprefix(URL), json.loads(data))) == expected

    pill = {"query": {"bool": {"filter": [json.loads(pasted(server, query, "pill"))]}}}
    selected = scores(ask(server, "POST", f"/{INDEX}/_search", pill))
    assert sorted(selected) == sorted((path, 0.0) for path, _ in expected)


@pytest.mark.parametrize("query", QUERIES)
def test_the_search_template_ranks_as_the_search_does(server: Server, index: PictureIndex, query: str) -> None:
    first, _, body = pasted(server, query, "template").partition("\n")
    method, path = first.split()
    if sparse(server):  # its test distribution has no mustache: the template is filled in here
        call = json.loads(body)["params"]
        clauses = {"should": call["should"], "minimum_should_match": 1, "filter": call.get("filter", [])}
        filled = {"size": call["size"], "from": 0, "_source": {"excludes": ["terms"]}, "query": {"bool": clauses}}
        assert scores(ask(server, "POST", f"/{INDEX}/_search", filled)) == found(index, query)
        return
    ask(server, "PUT", "/_scripts/lexlip", search_template())
    assert scores(ask(server, method, f"/{path}", json.loads(body))) == found(index, query)
    ask(server, "DELETE", "/_scripts/lexlip", None)


def panel(name: str) -> dict[str, Any]:
    (state,) = (json.loads(one["attributes"]["visState"]) for one in saved_objects(INDEX) if one["id"].endswith(f"-{name}"))
    asked: dict[str, Any] = state
    return asked


def test_the_grid_follows_the_query_bar(server: Server, index: PictureIndex) -> None:
    (data,) = json.loads(panel("grid")["params"]["spec"])["data"]
    url = data["url"]
    assert url["%context%"] is True
    for query in QUERIES:
        body = {**url["body"], "query": from_bar(saved(server, query))}
        assert body["query"] == from_bar(pasted(server, query, "lucene"))
        answer = ask(server, "POST", f"/{url['index']}/_search", body)
        assert scores(answer) == found(index, query)
        assert all({"path", "content_hash", "top_terms"} == set(hit["_source"]) for hit in answer["hits"]["hits"])
    everything = ask(server, "POST", f"/{url['index']}/_search", {**url["body"], "query": from_bar("")})
    assert {path for path, _ in scores(everything)} == set(PICTURES)


def test_the_drift_panel_counts_words_that_say_nothing_among_the_pictures_of_the_query(
    server: Server, index: PictureIndex
) -> None:
    (data,) = json.loads(panel("drift")["params"]["spec"])["data"]
    for text, shares in (("", {"the": 2 / 4, "[unused7]": 1 / 4, ".": 1 / 4}), (pasted(server, "beach", "lucene"), {"the": 1.0})):
        body = {**data["url"]["body"], "query": from_bar(text)}
        pictures = ask(server, "POST", f"/{data['url']['index']}/_search", body)["aggregations"]["pictures"]
        words = {bucket["key"]: bucket["doc_count"] / pictures["doc_count"] for bucket in pictures["words"]["buckets"]}
        assert words == shares


def test_the_tag_cloud_counts_the_words_of_pictures(server: Server, index: PictureIndex) -> None:
    count, words = panel("words")["aggs"]
    assert (count["type"], words["type"], words["params"]["orderBy"]) == ("count", "terms", count["id"])
    terms = {"field": words["params"]["field"], "size": words["params"]["size"], "order": {"_count": words["params"]["order"]}}
    body = {"size": 0, "query": from_bar(""), "aggs": {"2": {"terms": terms}}}
    buckets = ask(server, "POST", f"/{INDEX}/_search", body)["aggregations"]["2"]["buckets"]
    assert (buckets[0]["key"], buckets[0]["doc_count"]) == ("dog", 3)
    assert {bucket["key"] for bucket in buckets} == {word for words, _ in PICTURES.values() for word in words}
