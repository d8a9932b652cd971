"""The embedded node's own program at a port that it keeps: killed or stopped and started again while its clients wait."""

import os
import shutil
import signal
import time
from contextlib import suppress
from socket import create_server

from lexlip_es.engines.embedded import HEAP
from lexlip_es.engines.node import process
from lexlip_es.engines.node.jars import fetch, locked_jars
from lexlip_es.engines.node.java import find_java
from lexlip_es.engines.node.layout import lay_out
from lexlip_es.engines.node.places import Places
from lexlip_es.engines.node.state import ask
from tests.servers.server import START_SECONDS, ServerError, make_folder


class RestartingNode:
    """A node in a folder of its own, at `url` whenever it runs; whoever makes one calls `remove`."""

    def __init__(self) -> None:
        self.home = make_folder("restarting")
        (self.home / "cache").symlink_to(Places.find(os.environ).cache)
        self.places = Places.find({}, self.home)
        with create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.pid = 0

    def start(self) -> None:
        """Start it on whatever it stored before, and wait until it can be searched."""
        java = find_java(self.places.cache, os.environ)
        jars = fetch(locked_jars(), self.places.jars)
        class_path = lay_out(self.places, jars, java, "restarting")
        arguments = [*process.command(java, self.places, class_path, HEAP), f"-Ehttp.port={self.port}"]
        self.pid = process.spawn(arguments, self.places)
        until = time.monotonic() + START_SECONDS
        while process.is_ours(self.pid, self.places) and time.monotonic() < until:
            status, health = ask(self.port, "GET", "/_cluster/health?wait_for_status=yellow&timeout=5s", seconds=10)
            if status == 200 and not health["timed_out"]:
                return
            time.sleep(0.05)
        raise ServerError(f"the node did not start: {process.last_words(self.places.log)}")

    def stop(self) -> None:
        """Let it end in order."""
        process.end(self.pid, self.places)

    def kill(self) -> None:
        """End it as a crash would (kill -9)."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        while process.is_ours(self.pid, self.places):
            time.sleep(0.01)

    def remove(self) -> None:
        """End it and remove what it stored."""
        self.kill()
        shutil.rmtree(self.home, ignore_errors=True)  # a link in it is removed, not followed
