"""A server that runs: how it is reached, how its processes are started and ended.

Each has a folder of its own outside the user's home, because Elasticsearch refuses root and runs as another user then, and a
session of its own, so that the whole group (a launcher and the server proper) is known by one number and ends together.
"""

import atexit
import base64
import http.client
import json
import os
import pwd
import shutil
import signal
import ssl
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from lexlip_es.engines.node.places import Places
from lexlip_es.engines.node.process import http_port, last_words

START_SECONDS = 180.0  # a slow disk and a busy machine; typical is 5 to 25
STOP_SECONDS = 30.0


class ServerError(Exception):
    """The server did not start; the message has the line of its log that says why."""


@dataclass
class Server:
    """`ca` is the file of the authority that signed its certificate, `users` name -> password; both empty without security.

    `group` is the process group of everything that belongs to it, `folder` holds all that it writes, the log as
    `logs/node.log`. The first of `users` may do everything.
    """

    name: str
    url: str
    product: str
    version: str
    folder: Path
    group: int = 0
    end: Callable[[], object] = field(repr=False, default=lambda: None)
    ca: Path | None = None
    users: dict[str, str] = field(default_factory=dict)

    def stop(self) -> None:
        """End every process of it and remove what it wrote; a second call changes nothing."""
        self.end()

    def alive(self) -> bool:
        """Whether any process of it is left."""
        try:
            os.killpg(self.group, 0)
        except ProcessLookupError:
            return False
        return True

    def request(self, method: str, path: str, body: Any = None, user: str | None = None) -> tuple[int, Any]:
        """(status, parsed answer) of one request, without proxies, as `user` or else the first one; (0, None) for no answer."""
        address, headers = urlsplit(self.url), {"Content-Type": "application/json"}
        name = user or next(iter(self.users), None)
        if name is not None:
            token = base64.b64encode(f"{name}:{self.users[name]}".encode()).decode()
            headers["Authorization"] = f"Basic {token}"
        connection: http.client.HTTPConnection
        if address.scheme == "https":
            context = ssl.create_default_context(cafile=self.ca)
            connection = http.client.HTTPSConnection(address.netloc, timeout=30, context=context)
        else:
            connection = http.client.HTTPConnection(address.netloc, timeout=30)
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            return response.status, json.loads(response.read() or b"null")
        except (OSError, http.client.HTTPException, ValueError):
            return 0, None
        finally:
            connection.close()


def make_folder(name: str) -> Path:
    """A new folder for one start, which other users may look into."""
    folder = Path(tempfile.mkdtemp(prefix=f"lexlip-{name}-")).resolve()
    folder.chmod(0o755)
    return folder


def launch(
    server: Server, arguments: list[str], places: Places, env: dict[str, str] | None = None, user: str | None = None
) -> Server:
    """Start `server`'s process, as `user` where this is root, and wait until it serves; returns it with url, group and end.

    `places.engine` is the folder of this start: removed at the end. Raises `ServerError` where it does not start.
    """
    owner = pwd.getpwnam(user) if user is not None and os.geteuid() == 0 else None
    if owner is not None:
        for path in (places.engine, *places.engine.rglob("*")):
            os.chown(path, owner.pw_uid, owner.pw_gid, follow_symlinks=False)
    with places.log.open("wb") as log:
        child = subprocess.Popen(
            arguments,
            cwd=places.logs,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            user=owner.pw_uid if owner else None,
            group=owner.pw_gid if owner else None,
            extra_groups=[] if owner else None,
        )

    def end() -> None:
        atexit.unregister(end)
        end_group(child)
        shutil.rmtree(places.engine, ignore_errors=True)

    atexit.register(end)  # for whoever forgets, or never gets to it
    server.group, server.end = child.pid, end
    try:
        _await(server, child, places)
    except BaseException:  # Ctrl-C too
        end()
        raise
    return server


def _await(server: Server, child: subprocess.Popen[bytes], places: Places) -> None:
    scheme, until = "https" if server.ca else "http", time.monotonic() + START_SECONDS
    while child.poll() is None and time.monotonic() < until:
        port = http_port(places)
        if port:
            server.url = f"{scheme}://127.0.0.1:{port}"
            status, health = server.request("GET", "/_cluster/health?wait_for_status=yellow&timeout=5s")
            if status == 200 and not health["timed_out"]:
                return
        time.sleep(0.1)
    raise ServerError(f"{server.name} did not start: {last_words(places.log)}")


def end_group(child: subprocess.Popen[bytes]) -> None:
    """Ask all processes of the group that `child` leads to end, wait, and kill those that do not."""
    for number, seconds in ((signal.SIGTERM, STOP_SECONDS), (signal.SIGKILL, 10.0)):
        with suppress(ProcessLookupError):
            os.killpg(child.pid, number)
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                child.poll()  # a leader that ended but was not waited for would keep the group alive
                os.killpg(child.pid, 0)
                time.sleep(0.05)
