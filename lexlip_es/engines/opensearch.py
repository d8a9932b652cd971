"""OpenSearch, through opensearch-py: the client keeps the connections and chooses among the nodes.

opensearch-py takes about half a second to import, so it is imported when the engine is built and not before.
"""

from typing import Any

from lexlip_es.engines.access import CONNECTIONS, Answer, Node, Request
from lexlip_es.engines.clients import fitting
from lexlip_es.engines.http_engine import HttpEngine
from lexlip_es.engines.settings import ConnectionSettings

_ANY_STATUS = range(100, 600)  # a status is an answer, not the client's exception


class OpenSearchEngine(HttpEngine):
    """An OpenSearch cluster at `settings.urls`; raises `LexlipError` where the installed client does not fit."""

    def __init__(self, settings: ConnectionSettings, **known: Any) -> None:
        super().__init__(settings, **known)
        with fitting("opensearch-py", "opensearch-py>=3,<4"):
            import opensearchpy

            self._lost = opensearchpy.ConnectionError
            self._nodes = {_address(node): node for node in self._access.nodes}
            hosts = [self._host(node) for node in self._access.nodes]
            self._transport = opensearchpy.Transport(hosts, max_retries=0, pool_maxsize=CONNECTIONS)

    def _host(self, node: Node) -> dict[str, Any]:
        host = {"host": node.host, "port": node.port, "use_ssl": node.scheme == "https", "url_prefix": node.prefix}
        if self._access.tls is not None and node.scheme == "https":
            host |= {"ssl_context": self._access.tls.context, "ssl_assert_fingerprint": self._access.tls.fingerprint}
        return host

    def _send(self, request: Request, timeout: Any) -> Answer:
        connection = self._transport.get_connection()
        node = self._nodes[connection.hostname, connection.port, connection.url_prefix]
        headers = self._access.headers(request, node)
        try:
            status, answered, text = connection.perform_request(
                request.method, request.target, None, request.body, timeout, ignore=_ANY_STATUS, headers=headers
            )
        except self._lost as error:
            self._transport.mark_dead(connection)
            cause: Any = error.info  # urllib3's
            raise cause from error
        self._transport.connection_pool.mark_live(connection)
        return Answer(status, text, answered)

    def close(self) -> None:
        """Close the connections; see `Engine.close`."""
        self._transport.close()


def _address(node: Node) -> tuple[str, int, str]:
    return node.host, node.port, node.prefix
