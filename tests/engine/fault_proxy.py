"""A proxy before a real engine that does to a request what a test says: the network, the gate and the server in a bad hour.

It speaks HTTP over bare sockets, one request after the other on a connection, so that a fault can strike between any two bytes.
A fault is a function of the `Exchange`; those below are what toxiproxy and engines under load do.
"""

import json
import os
import ssl
import struct
import time
from collections import deque
from collections.abc import Callable
from functools import cached_property
from http.client import HTTPResponse
from io import BufferedReader
from socket import SO_LINGER, SOL_SOCKET, create_connection, socket
from socketserver import BaseRequestHandler
from threading import Event
from typing import Any

from tests.engine.wire import Relay

Action = list[bytes]  # the lines of one document in a bulk request


class Exchange:
    """One request and its answer; the request's body is read when a fault looks at it, and not before."""

    def __init__(self, proxy: "FaultProxy", client: socket, stream: BufferedReader, head: bytes) -> None:
        self.proxy = proxy
        self.client = client
        self.head = head
        self.method, self.path = head.split(b" ", 2)[:2]
        self._stream = stream

    @cached_property
    def body(self) -> bytes:
        """All of the request's body."""
        lengths = [line for line in self.head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        body = self._stream.read(int(lengths[0].partition(b":")[2])) if lengths else b""
        if b"/_bulk" in self.path:
            self.proxy.sent.append([json.loads(lines[0]).popitem()[1]["_id"] for lines in actions(body)])
        return body

    def deliver(self, body: bytes | None = None) -> tuple[bytes, bytes]:
        """Have the engine answer: (head, body). Another `body` may take the place of the client's."""
        head, sent = self.head, self.body if body is None else body
        if body is not None:
            lines = head.rstrip().split(b"\r\n")
            kept = [line for line in lines if not line.lower().startswith(b"content-length:")]
            head = b"\r\n".join([*kept, b"Content-Length: %d" % len(body), b"\r\n"])
        with create_connection(self.proxy.target) as engine:
            engine.sendall(head + sent)
            answer = HTTPResponse(engine, method=self.method.decode())
            answer.begin()
            read = answer.read()
            length = answer.getheader("Content-Length", str(len(read)))  # to HEAD the length of what is not sent
            return _head(answer.status, length, answer.getheader("Content-Type", "")), read

    def reply(self, answer: bytes) -> None:
        """Send bytes to the client."""
        self.client.sendall(answer)

    def hang_up(self) -> None:
        """End the connection at once, with a reset and not with a farewell."""
        self.client.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
        os.close(self.client.detach())  # `close` would wait for the stream


Fault = Callable[[Exchange], None]


def pass_on(exchange: Exchange) -> None:
    """No fault."""
    exchange.reply(b"".join(exchange.deliver()))


def answering(status: int, **headers: str) -> Fault:
    """The gate answers this status, and the engine never hears of the request; `retry_after="2"` becomes a header."""

    def fault(exchange: Exchange) -> None:
        assert exchange.body is not None  # read, so that the connection can go on
        said = b'{"error":{"type":"made_up","reason":"by the proxy"}}'
        exchange.reply(_head(status, str(len(said)), **headers) + said)

    return fault


def late(seconds: float, then: Fault = pass_on) -> Fault:
    """Latency: the fault comes this much later."""

    def fault(exchange: Exchange) -> None:
        time.sleep(seconds)
        then(exchange)

    return fault


def drop(exchange: Exchange) -> None:
    """The connection is reset, and the engine never hears of the request."""
    assert exchange.body is not None
    exchange.hang_up()


def lose(exchange: Exchange) -> None:
    """The engine does the work, and its answer is lost with the connection."""
    exchange.deliver()
    exchange.hang_up()


def cut_request(after: int) -> Fault:
    """The connection is cut on both sides when the engine has got this many bytes of the body."""

    def fault(exchange: Exchange) -> None:
        with create_connection(exchange.proxy.target) as engine:
            engine.sendall(exchange.head + exchange.body[:after])
            time.sleep(0.05)  # for the engine to read what it got
        exchange.hang_up()

    return fault


def cut_answer(after: int) -> Fault:
    """The client gets this many bytes of the answer's body and no more."""

    def fault(exchange: Exchange) -> None:
        head, body = exchange.deliver()
        exchange.reply(head + body[:after])
        exchange.hang_up()

    return fault


def swallow(exchange: Exchange) -> None:
    """A black hole: nobody reads the body, nobody answers, the connection stays open."""
    exchange.proxy.ended.wait()


def half_open(exchange: Exchange) -> None:
    """The engine does the work; the client hears neither an answer nor an end of the connection."""
    exchange.deliver()
    exchange.proxy.ended.wait()


def die(exchange: Exchange) -> None:
    """The connection is reset and the door closed."""
    exchange.proxy.socket.close()
    exchange.hang_up()


def busy(exchange: Exchange) -> None:
    """Every second document is withheld and gets a 429 of its own, as from a queue that is full."""
    each = actions(exchange.body)
    _, answer = exchange.deliver(b"".join(b"".join(lines) for lines in each[::2]))
    done = iter(json.loads(answer)["items"])
    full = {"index": {"status": 429, "error": {"type": "rejected_execution_exception", "reason": "queue full"}}}
    items = [next(done) if i % 2 == 0 else full for i in range(len(each))]
    said = json.dumps({"errors": True, "items": items}).encode()
    exchange.reply(_head(200, str(len(said))) + said)


def actions(body: bytes) -> list[Action]:
    """The documents of a bulk request, each with its lines."""
    lines, found = iter(body.splitlines(keepends=True)), []
    for line in lines:
        found.append([line] if line.startswith(b'{"delete"') else [line, next(lines)])
    return found


def _head(status: int, length: str, kind: str = "application/json", **headers: str) -> bytes:
    named = {"Content-Type": kind, "Content-Length": length, **headers}
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in named.items()]
    return "\r\n".join([f"HTTP/1.1 {status} -", *lines, "\r\n"]).encode()


class FaultProxy(Relay):
    """Does one of `faults` to each request for `troubled` that arrives, in their order, and `usually` when they are used up.

    `sent` lists the ids of each bulk request that was read; `before_bulk` is called for each before anything else. `target` may
    change while it serves.
    """

    def __init__(self, target: str, context: ssl.SSLContext | None = None, troubled: bytes = b"/_bulk") -> None:
        super().__init__(target, context)
        self.RequestHandlerClass: Any = _Exchanges
        self.troubled = troubled
        self.faults: deque[Fault] = deque()
        self.usually: Fault = pass_on
        self.sent: list[list[str]] = []
        self.before_bulk: Callable[[], object] = lambda: None
        self.ended = Event()  # for the requests that nobody answers

    def server_close(self) -> None:
        """Close the door, and what hangs."""
        self.ended.set()
        super().server_close()


class _Exchanges(BaseRequestHandler):
    server: FaultProxy

    def handle(self) -> None:
        context = self.server.context
        client = self.request if context is None else context.wrap_socket(self.request, server_side=True)
        stream = client.makefile("rb")
        while client.fileno() != -1 and (line := stream.readline()):
            head = line
            while (line := stream.readline()).strip():
                head += line
            exchange = Exchange(self.server, client, stream, head + b"\r\n")
            fault: Fault = pass_on
            if self.server.troubled in exchange.path:
                self.server.before_bulk()
                fault = self.server.faults.popleft() if self.server.faults else self.server.usually
            fault(exchange)
