"""A server asked without any client: the limit of what one could reach."""

import http.client
from urllib.parse import urlsplit

_JSON = {"accept": "application/json", "content-type": "application/json"}


class Bare:
    """One kept connection, for one thread."""

    def __init__(self, url: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=600)

    def send(self, target: str, body: bytes | None = None) -> bytes:
        """Post a body, or get without one, and return the answer's bytes; raises `RuntimeError` for any status but 200."""
        self._connection.request("GET" if body is None else "POST", target, body, _JSON)
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{target} answers {answer.status}: {content[:300]!r}")
        return content

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
