"""Which server is it? Asked through urllib3 alone, on which both clients stand, so that only the right one is ever imported."""

from itertools import cycle
from typing import Any

from lexlip_es.engines.access import Access, Answer, Request
from lexlip_es.engines.http_engine import HttpEngine
from lexlip_es.engines.protocol import ServerInfo
from lexlip_es.engines.settings import ConnectionSettings


def detect(settings: ConnectionSettings, access: Access) -> ServerInfo:
    """Product and version of the server at `settings.urls`; raises `LexlipError` as `Engine.info` does."""
    asking = _Asking(settings, access=access)
    try:
        return asking.info()
    finally:
        asking.close()


class _Asking(HttpEngine):
    """An engine without a client: the nodes take turns, and none is remembered as dead."""

    def __init__(self, settings: ConnectionSettings, *, access: Access) -> None:
        super().__init__(settings, access=access)
        self._pools = [(node, access.pool(node)) for node in access.nodes]
        self._turns = cycle(self._pools)

    def _send(self, request: Request, timeout: Any) -> Answer:
        node, pool = next(self._turns)
        headers = self._access.headers(request, node)
        answer = pool.urlopen(
            request.method, node.prefix + request.target, request.body, headers, retries=False, redirect=False, timeout=timeout
        )
        return Answer(answer.status, answer.data, answer.headers.get("location"))

    def close(self) -> None:
        """Close the connections; see `Engine.close`."""
        for _, pool in self._pools:
            pool.close()
