"""Search engines: one small protocol, OpenSearch and Elasticsearch behind it, and an embedded node where no URL is given."""

import os
from collections.abc import Callable
from typing import Any

from lexlip_es.engines.answers import version_numbers
from lexlip_es.engines.errors import EngineUnreachableError, UnknownIndexError
from lexlip_es.engines.protocol import BulkResult, Engine, JsonObject, ServerInfo
from lexlip_es.engines.settings import ConnectionSettings

__all__ = [
    "BulkResult",
    "ConnectionSettings",
    "Engine",
    "EngineUnreachableError",
    "JsonObject",
    "ServerInfo",
    "UnknownIndexError",
    "connect",
]


def connect(
    settings: ConnectionSettings | None = None, *, report: Callable[[str], None] | None = None, briefly: bool = False
) -> Engine:
    """Connect to the engine that the settings name, or to the embedded node, which is started when it does not run.

    `settings` default to the environment's; `report` is told, once, what a person has to wait for or should know. `briefly` is
    for a few requests of a process that ends then: no client is imported. Raises `LexlipError` where nothing answers, where the
    server is neither OpenSearch nor Elasticsearch, or where the node does not start.
    """
    from lexlip_es.engines.access import Access
    from lexlip_es.engines.plain import PlainEngine

    settings = ConnectionSettings.from_environment(os.environ) if settings is None else settings
    known: dict[str, Any] = {}
    if not settings.urls:
        from lexlip_es.engines.embedded import ensure_running

        node = ensure_running(report=report)
        settings = ConnectionSettings(urls=(node.url,))
        known = {"server": ServerInfo("opensearch", version_numbers(node.version), node.version), "log": node.log}
    known["access"] = Access.of(settings)
    plain = PlainEngine(settings, **known)
    try:
        known["server"] = plain.server
    finally:
        if not briefly:
            plain.close()
    if briefly:
        return plain
    if plain.server.product == "opensearch":
        from lexlip_es.engines.opensearch import OpenSearchEngine

        return OpenSearchEngine(settings, **known)
    from lexlip_es.engines.elasticsearch import ElasticsearchEngine

    return ElasticsearchEngine(settings, **known)
