"""Small servers that stand between a client and an engine, or instead of one: to see, to secure and to break connections."""

import socketserver
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from socket import AF_INET, AF_INET6, SHUT_RDWR, create_connection, socket
from threading import Thread
from typing import Any
from urllib.parse import urlsplit


class Relay(socketserver.ThreadingTCPServer):
    """Passes bytes to a server and back, with TLS towards the client where `context` is given.

    What the client sends is kept in `seen`; when that holds `dies_at`, the connection and the door are closed at once.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, target: str, context: ssl.SSLContext | None = None, dies_at: bytes = b"") -> None:
        super().__init__(("127.0.0.1", 0), _Pump)
        self.target = (urlsplit(target).hostname, urlsplit(target).port)
        self.context = context
        self.dies_at = dies_at
        self.seen = b""
        self.url = f"{'http' if context is None else 'https'}://localhost:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Failed handshakes and lost connections are what this server is for: no stack traces."""


class _Pump(socketserver.BaseRequestHandler):
    server: Relay

    def handle(self) -> None:
        context = self.server.context
        client = self.request if context is None else context.wrap_socket(self.request, server_side=True)
        with client, create_connection(self.server.target) as engine:
            Thread(target=_copy, args=(engine, client), daemon=True).start()
            while data := client.recv(65_536):
                self.server.seen += data
                if self.server.dies_at and self.server.dies_at in self.server.seen:
                    self.server.socket.close()
                    return
                engine.sendall(data)


def _copy(source: socket, drain: socket) -> None:
    with suppress(OSError, ValueError):
        while data := source.recv(65_536):
            drain.sendall(data)
        drain.shutdown(SHUT_RDWR)


class Canned(socketserver.ThreadingTCPServer):
    """Answers every request with the same bytes, of whatever kind, and closes the connection; `seen` keeps what arrived."""

    daemon_threads = True

    def __init__(self, *answer: bytes, host: str = "127.0.0.1") -> None:
        self.address_family = AF_INET6 if ":" in host else AF_INET
        super().__init__((host, 0), _Answerer)
        self.answer = b"\r\n".join(answer)
        self.seen: list[bytes] = []
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{self.server_address[1]}"


class _Answerer(socketserver.StreamRequestHandler):
    server: Canned

    def handle(self) -> None:
        head, length = b"", 0
        while (line := self.rfile.readline()).strip():
            head += line
            if line.lower().startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
        self.server.seen.append(head + b"\r\n" + self.rfile.read(length))
        self.wfile.write(self.server.answer)


@contextmanager
def serving(server: Any) -> Iterator[Any]:
    """Within it the server serves."""
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
