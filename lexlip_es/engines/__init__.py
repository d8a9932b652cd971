"""Search engines: one small protocol, OpenSearch and Elasticsearch behind it, and an embedded node where no URL is given."""

import os
from collections.abc import Callable

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


def connect(settings: ConnectionSettings | None = None, *, report: Callable[[str], None] | None = None) -> Engine:
    """Connect to the engine that the settings name, or to the embedded node, which is started when it does not run.

    `settings` default to the environment's; `report` is told, once, what a person has to wait for or should know. Raises
    `LexlipError` where nothing answers, where the server is neither OpenSearch nor Elasticsearch, or where the
    node does not start.
    """
    settings = ConnectionSettings.from_environment(os.environ) if settings is None else settings
    if not settings.urls:
        from lexlip_es.engines.embedded import ensure_running
        from lexlip_es.engines.opensearch import OpenSearchEngine

        node = ensure_running(report=report)
        known = ServerInfo("opensearch", version_numbers(node.version), node.version)
        return OpenSearchEngine(ConnectionSettings(urls=(node.url,)), server=known, log=node.log)
    from lexlip_es.engines.access import Access
    from lexlip_es.engines.detection import detect

    access = Access.of(settings)
    server = detect(settings, access)
    if server.product == "opensearch":
        from lexlip_es.engines.opensearch import OpenSearchEngine

        return OpenSearchEngine(settings, access=access, server=server)
    from lexlip_es.engines.elasticsearch import ElasticsearchEngine

    return ElasticsearchEngine(settings, access=access, server=server)
