"""The servers that other tests rely on are what their names say. That none leaves anything behind is checked by their fixture."""

import pytest

from tests.servers import MATRIX, Server, on_servers, start

SECURED = "elasticsearch-9.5.3-secured"
INDEX = "pictures-of-the-servers-test"


def serves(server: Server) -> None:
    """It says the version of its name, keeps a document's weight and finds it by it."""
    product, version, *_ = server.name.split("-")
    status, answer = server.request("GET", "/_nodes/_local?filter_path=nodes.*.version")
    (node,) = answer["nodes"].values()
    assert (status, node["version"], server.version, server.product) == (200, version, version, product)
    field, query = ("rank_features", {"rank_feature": {"field": "terms.dog", "linear": {}, "boost": 2}})
    if product == "elasticsearch" and version[0] in "89":  # their rank_features are in no package
        field, query = ("sparse_vector", {"term": {"terms": {"value": "dog", "boost": 2}}})
    body = {"settings": {"number_of_replicas": 0}, "mappings": {"properties": {"terms": {"type": field}}}}
    assert server.request("PUT", f"/{INDEX}", body)[0] == 200
    try:
        assert server.request("PUT", f"/{INDEX}/_doc/1?refresh=true", {"terms": {"dog": 1.5}})[0] == 201
        (hit,) = server.request("POST", f"/{INDEX}/_search", {"query": query})[1]["hits"]["hits"]
        assert hit["_score"] == 3.0
    finally:
        server.request("DELETE", f"/{INDEX}")


@on_servers(*MATRIX, SECURED)
def test_a_server_is_what_its_name_says(server: Server) -> None:
    serves(server)


@on_servers(SECURED)
def test_users_may_do_what_their_role_says(server: Server) -> None:
    assert server.url.startswith("https://") and server.ca is not None
    search = ("POST", f"/{INDEX}/_search")
    assert server.request("PUT", f"/{INDEX}", user="indexer")[0] == 200
    try:
        assert server.request("PUT", "/others", user="indexer")[0] == 403
        assert server.request("PUT", f"/{INDEX}/_doc/1", {}, user="searcher")[0] == 403
        assert server.request("PUT", f"/{INDEX}/_doc/1", {}, user="indexer")[0] == 201
        assert [server.request(*search, user=user)[0] for user in server.users] == [200, 200, 200, 403]
    finally:
        assert server.request("DELETE", f"/{INDEX}", user="indexer")[0] == 200


def test_a_stopped_server_is_gone() -> None:
    server = start("opensearch-3.9.0")
    assert server.alive()
    for _ in range(2):  # nothing is left to stop the second time, and that is no error
        server.stop()
        assert not server.alive()
        assert not server.folder.exists()
        assert server.request("GET", "/") == (0, None)


def test_an_unknown_name_is_no_server() -> None:
    with pytest.raises(KeyError):
        start("elasticsearch-0.0.1")
