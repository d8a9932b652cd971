"""Which servers there are, and how each is started."""

import os
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from lexlip_es.engines.node.places import Places
from tests.servers.elasticsearch import start_elasticsearch
from tests.servers.neural import start_neural
from tests.servers.opensearch import start_embedded, start_opensearch
from tests.servers.secured import secure
from tests.servers.server import Server

_STARTS: dict[str, Callable[..., Server]] = {
    "opensearch-3.9.0": start_embedded,
    "opensearch-2.19.6": partial(start_opensearch, version="2.19.6"),
    "elasticsearch-9.5.3": partial(start_elasticsearch, version="9.5.3"),
    "elasticsearch-8.19.21": partial(start_elasticsearch, version="8.19.21"),
    "elasticsearch-7.17.29": partial(start_elasticsearch, version="7.17.29"),
    "elasticsearch-9.5.3-secured": partial(start_elasticsearch, version="9.5.3", secure=secure),
    "opensearch-3.6.0-neural": start_neural,
}
NAMES = tuple(_STARTS)  # those of the matrix, and two for special questions
MATRIX = ("opensearch-3.9.0", "opensearch-2.19.6", "elasticsearch-9.5.3", "elasticsearch-8.19.21", "elasticsearch-7.17.29")


def start(name: str, **options: Any) -> Server:
    """Start the server of this name (one of `NAMES`) and wait until it serves; whoever starts it stops it.

    `options` are of the function that starts it, such as its `heap`. Skips the test where the machine lacks the Java that it
    needs. Downloads are cached beside those of the embedded node.
    """
    cache = Places.find(os.environ).cache / "test-servers"
    return _STARTS[name](name, cache=cache, **options)


def on_servers(*names: str) -> pytest.MarkDecorator:
    """Mark a test, or a module as `pytestmark`, to run on these servers instead of `MATRIX`."""
    return pytest.mark.parametrize("server", names, indirect=True, scope="session")
