"""The cluster's settings in force, which are asked for by whoever needs one: most requests need none."""

from lexlip_es.engines.protocol import Engine, JsonObject

CLAUSE_LIMIT = "indices.query.bool.max_clause_count"


def cluster_settings(engine: Engine) -> JsonObject:
    """Name -> value: what was set for now before what was set for good before the defaults. Raises `LexlipError`."""
    answer = engine.request("GET", "/_cluster/settings", params={"include_defaults": "true", "flat_settings": "true"})
    levels = [answer.get(level) for level in ("defaults", "persistent", "transient")]
    return {name: value for level in levels if isinstance(level, dict) for name, value in level.items()}
