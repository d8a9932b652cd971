"""A cluster without a client: through urllib3 alone, on which both clients stand.

For what is over before a client would be imported, which takes a third of a second: finding out which server answers, so that
only the right client is ever imported, and commands that ask a few questions and end.
"""

from itertools import cycle
from typing import Any

from lexlip_es.engines.access import Answer, Request
from lexlip_es.engines.http_engine import HttpEngine
from lexlip_es.engines.settings import ConnectionSettings


class PlainEngine(HttpEngine):
    """A cluster at `settings.urls`, of either product: the nodes take turns, and none is remembered as dead."""

    def __init__(self, settings: ConnectionSettings, **known: Any) -> None:
        super().__init__(settings, **known)
        self._pools = [(node, self._access.pool(node)) for node in self._access.nodes]
        self._turns = cycle(self._pools)

    def _send(self, request: Request, timeout: Any) -> Answer:
        node, pool = next(self._turns)
        headers = self._access.headers(request, node)
        answer = pool.urlopen(
            request.method, node.prefix + request.target, request.body, headers, retries=False, redirect=False, timeout=timeout
        )
        return Answer(answer.status, answer.data, answer.headers)

    def close(self) -> None:
        """Close the connections; see `Engine.close`."""
        for _, pool in self._pools:
            pool.close()
