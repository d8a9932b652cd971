"""What every request to the engine needs, whichever client sends it: nodes, login, trust.

The login is put into each request by us, never given to a client: so it goes to the nodes of the settings alone, with no
redirect followed, and no client can log it or show it in a `repr`.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from lexlip_es.engines.settings import ConnectionSettings
from lexlip_es.engines.sigv4 import Signer
from lexlip_es.engines.tls import Tls, tls_for

JSON = "application/json"
CONNECTIONS = 10  # kept open to one node
HTTPS_PORT = 443  # where a URL names none, as hosted engines have it; the settings demand one of http


@dataclass(frozen=True)
class Request:
    """One request as it goes over the wire: `target` is path and query, `body` is final (compressed where `gzipped`).

    `seconds` is how long to wait for the answer.
    """

    method: str
    target: str
    body: bytes | None
    gzipped: bool
    seconds: float


class Answer(NamedTuple):
    """An answer as it came, whatever its status; of `headers`, those that are looked at are `location` and `retry-after`."""

    status: int
    body: bytes | str
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Node:
    """One address of the engine; `prefix` is "" or begins with a slash."""

    scheme: str
    host: str
    port: int
    prefix: str

    @property
    def url(self) -> str:
        """The address as a URL without a closing slash."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.prefix}"


@dataclass(frozen=True)
class Access:
    """Nodes, trust and login, taken from the settings once for all that connect with them; raises as `tls_for` and `Signer`."""

    nodes: tuple[Node, ...]
    tls: Tls | None
    compress: bool
    _login: dict[str, str] = field(repr=False)
    _signer: Signer | None = field(repr=False)

    @classmethod
    def of(cls, settings: ConnectionSettings) -> "Access":
        """The access that the settings describe; with a fingerprint, the servers are asked for their certificates."""
        signer = None if settings.aws_region is None else Signer(settings.aws_region, settings.aws_service)
        nodes = tuple(_node(url) for url in settings.urls)
        loopback = ("localhost", "127.0.0.1", "::1")  # compressing for this machine itself would only cost time
        compress = not all(node.host in loopback for node in nodes)
        return cls(nodes, tls_for(settings), compress, _login(settings), signer)

    def headers(self, request: Request, node: Node) -> dict[str, str]:
        """All headers of the request when this node gets it."""
        headers = {"accept": JSON, **self._login}
        if request.body:
            headers["content-type"] = JSON
        if request.gzipped:
            headers["content-encoding"] = "gzip"
        if self.compress:
            headers["accept-encoding"] = "gzip"
        if self._signer is not None:
            headers |= self._signer.headers(request.method, node.url + request.target, request.body)
        return headers

    def pool(self, node: Node) -> Any:
        """A urllib3 connection pool to the node."""
        import urllib3

        if node.scheme == "http" or self.tls is None:
            return urllib3.HTTPConnectionPool(node.host, node.port, maxsize=CONNECTIONS)
        context, fingerprint = self.tls
        return urllib3.HTTPSConnectionPool(
            node.host, node.port, maxsize=CONNECTIONS, ssl_context=context, assert_fingerprint=fingerprint
        )


def _node(url: str) -> Node:
    parts = urlsplit(url)
    return Node(parts.scheme, parts.hostname or "", parts.port or HTTPS_PORT, parts.path.rstrip("/"))


def _login(settings: ConnectionSettings) -> dict[str, str]:
    if settings.api_key is not None:
        return {"authorization": f"ApiKey {settings.api_key}"}
    if settings.bearer is not None:
        return {"authorization": f"Bearer {settings.bearer}"}
    if settings.username is not None:  # the clients' own ways fail on passwords outside Latin-1
        login = f"{settings.username}:{settings.password}".encode("utf-8", "surrogateescape")
        return {"authorization": f"Basic {base64.b64encode(login).decode('ascii')}"}
    return {}
