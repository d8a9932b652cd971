"""The servers that other tests rely on: each is what its name says, makes an index, and leaves nothing behind."""

from pathlib import Path

import pytest

from tests.servers import NAMES, start


@pytest.mark.parametrize("name", NAMES)
def test_a_server_starts_serves_and_leaves_nothing(name: str) -> None:
    server = start(name)
    try:
        product, version, *_ = name.split("-")
        status, answer = server.request("GET", "/_nodes/_local?filter_path=nodes.*.version,nodes.*.settings.path")
        (node,) = answer["nodes"].values()
        assert (status, node["version"], server.version, server.product) == (200, version, version, product)
        field = "sparse_vector" if product == "elasticsearch" and version[0] in "89" else "rank_features"
        body = {"settings": {"number_of_replicas": 0}, "mappings": {"properties": {"terms": {"type": field}}}}
        assert server.request("PUT", "/pictures-000001", body)[0] == 200
        assert server.request("PUT", "/pictures-000001/_doc/1?refresh=true", {"terms": {"dog": 1.5}})[0] == 201
        assert server.request("GET", "/pictures-000001/_count")[1]["count"] == 1
        assert server.alive()
    finally:
        server.stop()
    assert not server.alive()

    assert server.request("GET", "/_cluster/health") == (0, None)
    assert not Path(node["settings"]["path"]["logs"]).parent.exists()
    server.stop()  # nothing is left to stop, and that is no error
