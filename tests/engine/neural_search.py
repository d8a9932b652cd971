"""What `make test-neural` runs: OpenSearch 3.6.0 with neural-search. Not among the tests of `make test` by its file name."""

from tests.engine.test_servers import serves
from tests.servers import Server, on_servers

pytestmark = on_servers("opensearch-3.6.0-neural")


def test_the_server_has_the_plugin(server: Server) -> None:
    serves(server)
    plugins = {plugin["component"] for plugin in server.request("GET", "/_cat/plugins?format=json")[1]}
    assert "opensearch-neural-search" in plugins


def test_the_built_in_analyzer_makes_word_pieces(server: Server) -> None:
    status, answer = server.request("POST", "/_analyze", {"analyzer": "bert-uncased", "text": "A dog snowboarding"})
    assert status == 200
    assert [token["token"] for token in answer["tokens"]] == ["a", "dog", "snow", "##boarding"]
