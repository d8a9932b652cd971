"""Search engines: one small protocol, the OpenSearch client behind it, and an embedded node where no URL is given."""

import os
from collections.abc import Callable

from lexlip_es.engines.errors import EngineUnreachableError, UnknownIndexError
from lexlip_es.engines.protocol import BulkResult, Engine, JsonObject, ServerInfo
from lexlip_es.engines.settings import ConnectionSettings
from lexlip_es.errors import LexlipError

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
    `LexlipError` where nothing answers, where the server is not one that can be used, or where the node does not start.
    """
    settings = ConnectionSettings.from_environment(os.environ) if settings is None else settings
    from lexlip_es.engines.opensearch import OpenSearchEngine

    if not settings.urls:
        from lexlip_es.engines.embedded import ensure_running

        node = ensure_running(report=report)
        return OpenSearchEngine(ConnectionSettings(urls=(node.url,)), log=node.log)
    engine = OpenSearchEngine(settings)
    server = engine.info()
    if server.product != "opensearch":
        engine.close()
        raise LexlipError(
            f"{settings.display} is {server.product.capitalize()} {server.number}, which this version of lexlip-es "
            "cannot use yet: set LEXLIP_ES_URL to an OpenSearch, or unset it for the embedded one."
        )
    return engine
