"""Real search servers for the tests, each started from published packages alone and stopped again.

    server = start("elasticsearch-9.5.3")
    server.url, server.product, server.version, server.ca, server.users
    server.stop()

A test asks for the fixture `server` instead: the engine tests' conftest has it, and `on_servers` picks which.
"""

from tests.servers.catalogue import MATRIX, NAMES, on_servers, start
from tests.servers.server import Server

__all__ = ["MATRIX", "NAMES", "Server", "on_servers", "start"]
