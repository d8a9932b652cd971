"""Elasticsearch 7.17, 8.x and 9.x, through the transport that elasticsearch-py is made of.

The transport alone imports in a fraction of the client's time (0.3 s against 2 s and more), and it leaves the media type to us:
plain `application/json` is understood by every version, whereas the client's own, "compatible-with" its major version, is
refused by older servers.
"""

from typing import Any

from lexlip_es.engines.access import Access, Answer, Node, Request
from lexlip_es.engines.clients import fitting
from lexlip_es.engines.http_engine import HttpEngine
from lexlip_es.engines.settings import ConnectionSettings


class ElasticsearchEngine(HttpEngine):
    """An Elasticsearch cluster at `settings.urls`; raises `LexlipError` where the installed client does not fit."""

    def __init__(self, settings: ConnectionSettings, **known: Any) -> None:
        super().__init__(settings, **known)
        with fitting("elasticsearch", "elasticsearch>=8.19,<9"):
            import elastic_transport

            self._lost = elastic_transport.TransportError
            self._addresses = {self._config(node): node for node in self._access.nodes}
            self._pool = elastic_transport.NodePool(list(self._addresses), _node_class(self._access, self._addresses))

    def _config(self, node: Node) -> Any:
        import elastic_transport

        return elastic_transport.NodeConfig(node.scheme, node.host, node.port, node.prefix)

    def _send(self, request: Request, timeout: Any) -> Answer:
        chosen: Any = self._pool.get()
        headers: Any = self._access.headers(request, self._addresses[chosen.config])
        try:
            meta, body = chosen.perform_request(request.method, request.target, request.body, headers, timeout)
        except self._lost as error:
            self._pool.mark_dead(chosen)
            raise error.errors[0] from error
        self._pool.mark_live(chosen)
        return Answer(meta.status, body, meta.headers)

    def close(self) -> None:
        """Close the connections; see `Engine.close`."""
        for node in self._pool.all():
            node.close()


def _node_class(access: Access, addresses: dict[Any, Node]) -> Any:
    """The transport's node over a connection pool of ours.

    Its own pool adds the usual authorities to the ones that are to be trusted, and takes a fingerprint for found when any of
    the shown certificates has it.
    """
    import elastic_transport

    class PooledNode(elastic_transport.Urllib3HttpNode):
        def __init__(self, config: elastic_transport.NodeConfig) -> None:
            super().__init__(config)
            self.pool = access.pool(addresses[config])

    return PooledNode
