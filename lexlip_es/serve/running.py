"""From settings to a server that answers until it is told to end."""

import os
import socket
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from lexlip_es.encoders import Encoder
from lexlip_es.engines import Engine
from lexlip_es.engines.node.places import Places
from lexlip_es.errors import LexlipError
from lexlip_es.library import Library, known_roots
from lexlip_es.query_pictures import QueryPictures
from lexlip_es.searching import Searcher
from lexlip_es.serve.access import TOKEN, Access, kept_secret
from lexlip_es.serve.app import create_app
from lexlip_es.serve.guard import THUMBNAILS
from lexlip_es.serve.searches import Searches
from lexlip_es.thumbnails import Thumbnails

_MOST_CONNECTIONS = 200  # a browser opens six


@dataclass(frozen=True)
class Where:
    """Where the server listens (port 0: any that is free), the names that it is known by beside that, and what it may show.

    roots: the folders below which it may look at pictures; none: those that the index knows when the server starts.
    """

    host: str = "127.0.0.1"
    port: int = 8790
    allowed_hosts: Sequence[str] = ()
    roots: Sequence[Path] = ()


def serve(engine: Engine, encoder: Encoder, index: str, where: Where, report: Callable[[str], None]) -> None:
    """Serve an index until Ctrl-C or SIGTERM; `report` is told where, and how Kibana gets thumbnails.

    The token comes from LEXLIP_SERVE_TOKEN. Raises `UsageError` for an address that others reach without a token, `LexlipError`
    for an index that does not fit the model and for an address that cannot be had.
    """
    places = Places.find(os.environ)
    secret = kept_secret(places.engine.parent / "serve.secret")
    access = Access.of(where.host, where.allowed_hosts, os.environ.get(TOKEN), secret)
    roots = where.roots or known_roots(engine, index)
    with (
        QueryPictures(encoder.model.picture_spec) as pictures,
        Thumbnails(places.thumbnails) as thumbnails,
        closing(listening(where.host, where.port)) as listener,
    ):
        searcher = Searcher(engine, encoder, index, pictures=pictures)
        searcher.standing().meta.require_kind("picture")
        thumbnails_at = f"{THUMBNAILS}{access.thumbnails_key(index)}/"
        app = create_app(Searches(searcher, thumbnails_at), Library(engine, index, thumbnails, roots), access, index)
        address = address_of(listener, next(iter(where.allowed_hosts), None))
        report(f"{index} is served at {address}/ (Ctrl-C ends it).")
        shown = ", ".join(map(str, roots)) or "no folder of this machine: name one with --root"
        report(f"pictures are shown from {shown}.")
        report(f"for Kibana: lexlip-es kibana export --thumbnail-base {address}{thumbnails_at.rstrip('/')}")
        with suppress(KeyboardInterrupt):  # which uvicorn raises again when it has ended
            server(app).run([listener])


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens; raises `LexlipError` where the address cannot be had."""
    try:
        listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        # Inherited by its connections, for which asyncio does not set it: the second half of an answer would wait for 40 ms.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listener
    except (OSError, OverflowError) as error:
        raise LexlipError(f"{host}:{port} cannot be listened at ({error}): choose another --port or --host.") from error


def address_of(listener: socket.socket, name: str | None = None) -> str:
    """The address that a browser takes, by a name or by the number that is listened at."""
    host, port = listener.getsockname()[:2]
    return f"http://{name or (f'[{host}]' if ':' in host else host)}:{port}"


def server(app: FastAPI) -> uvicorn.Server:
    """A server for the application, quiet but for what fails."""
    return uvicorn.Server(
        uvicorn.Config(app, log_level="warning", access_log=False, server_header=False, limit_concurrency=_MOST_CONNECTIONS)
    )
