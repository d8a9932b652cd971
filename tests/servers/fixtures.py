"""The fixture `server`; a conftest imports it."""

from collections.abc import Iterator

import pytest

from tests.servers.catalogue import MATRIX, start
from tests.servers.server import Server


@pytest.fixture(scope="session", params=MATRIX)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """One server after the other, each shared by all tests that ask for it: pytest groups them, so each starts once.

    A test leaves it as it found it: its indices have names of their own, and a cluster setting is set back.
    """
    running = start(request.param)
    yield running
    running.stop()
    assert not running.alive(), f"{running.name} left a process"
    assert not running.folder.exists(), f"{running.name} left {running.folder}"
