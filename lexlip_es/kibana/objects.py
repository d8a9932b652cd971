"""Saved objects for Kibana 7.17, 8, 9 and OpenSearch Dashboards 2, 3: one NDJSON, in the shape of 7.10, which all of them read.

The attributes are those that all of them take: Dashboards' mappings are strict and Kibana 9's schemas forbid what they do not
know (`tests/unit/kibana_shapes.py` says where each is published). `migrationVersion` says which of their migrations are done, in
versions that all of them know. Ids are stable, so that a second import replaces the first.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from lexlip_es.errors import UsageError
from lexlip_es.kibana.drift_chart import drift_spec
from lexlip_es.kibana.grid import grid_spec

SavedObject = dict[str, Any]
BarQuery = str | dict[str, Any]
"""What a query bar holds: text of its language, or an object of the engine's own."""
_MIGRATED = {"index-pattern": "7.6.0", "search": "7.9.3", "visualization": "7.10.0", "dashboard": "7.9.3"}
_INDEX = "kibanaSavedObjectMeta.searchSourceJSON.index"
_ANYTHING = {"query": "", "language": "lucene"}  # the language of the bar in which queries score
_THUMBNAIL = "180"  # pixels at most, as text: their editors write it so


def saved_objects(index: str, thumbnail_base: str | None = None, query: BarQuery = "") -> list[SavedObject]:
    """A data view of the index without a time field, a saved search, three panels, and the dashboard that joins them.

    thumbnail_base: the URL under which `CONTENT_HASH` is a picture's thumbnail; raises `UsageError` where it is none. query: what
    the dashboard's bar holds at first. Nothing else has a query of its own, which would be added to the bar's.
    """
    base = None if thumbnail_base is None else _checked(thumbnail_base)
    search = _search(index)
    cloud = _cloud(index)
    drift = _vega(index, "drift", "words that say nothing", drift_spec(index))
    grid = _vega(index, "grid", "ranked pictures", grid_spec(index, base))
    dashboard = _dashboard(index, [(grid, 48, 32), (cloud, 30, 14), (drift, 18, 14), (search, 48, 24)], query)
    return [_data_view(index, base), search, cloud, drift, grid, dashboard]


def ndjson(objects: Iterable[SavedObject]) -> str:
    """The objects as their import takes them: one JSON a line, all ASCII."""
    return "".join(json.dumps(one) + "\n" for one in objects)


def _checked(url: str) -> str:
    """The URL without a closing slash; raises `UsageError` for what is no base of URLs, or would be read as a template."""
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and not (parts.query or parts.fragment)
    except ValueError:
        valid = False
    if not valid or not url.isascii() or not url.isprintable() or any(sign in url for sign in " {}\"'\\"):
        raise UsageError("--thumbnail-base is not a URL: take the one that `lexlip-es serve` names when it starts.")
    return url.rstrip("/")


def _object(kind: str, index: str, name: str, attributes: Mapping[str, Any], references: list[dict[str, str]]) -> SavedObject:
    return {
        "id": f"lexlip-{index}{name and '-' + name}",
        "type": kind,
        "attributes": dict(attributes),
        "references": references,
        "migrationVersion": {kind: _MIGRATED[kind]},
    }


def _data_view(index: str, thumbnail_base: str | None) -> SavedObject:
    attributes = {"title": index, "sourceFilters": json.dumps([{"value": "terms*"}])}  # a picture's 64 weights hide all else
    if thumbnail_base is not None:
        image = {"type": "img", "urlTemplate": thumbnail_base + "/{{value}}", "width": _THUMBNAIL, "height": _THUMBNAIL}
        attributes["fieldFormatMap"] = json.dumps({"content_hash": {"id": "url", "params": image}})
    return _object("index-pattern", index, "", attributes, [])


def _asking(index: str, source: Mapping[str, Any]) -> tuple[dict[str, str], list[dict[str, str]]]:
    """The search source of an object that asks the data view, and its reference to it."""
    reference = {"name": _INDEX, "type": "index-pattern", "id": f"lexlip-{index}"}
    return {"searchSourceJSON": json.dumps({**source, "filter": [], "indexRefName": _INDEX})}, [reference]


def _search(index: str) -> SavedObject:
    source, references = _asking(index, {"query": _ANYTHING, "highlightAll": False, "version": True})
    attributes = {
        "title": f"{index}: search",
        "description": "Paste what `lexlip-es query --for lucene` prints into the query bar, in the language Lucene.",
        "columns": ["content_hash", "_score", "path", "top_terms", "caption"],
        "sort": [["_score", "desc"]],
        "kibanaSavedObjectMeta": source,
    }
    return _object("search", index, "search", attributes, references)


def _cloud(index: str) -> SavedObject:
    """How many pictures have each of `top_terms` among their heaviest words; `rank_features` itself cannot be counted."""
    ranked = {"field": "top_terms", "orderBy": "1", "order": "desc", "size": 60, "otherBucket": False, "missingBucket": False}
    state = {
        "type": "tagcloud",
        "params": {"scale": "linear", "orientation": "single", "minFontSize": 12, "maxFontSize": 48, "showLabel": False},
        "aggs": [
            {"id": "1", "enabled": True, "type": "count", "schema": "metric", "params": {}},
            {"id": "2", "enabled": True, "type": "terms", "schema": "segment", "params": ranked},
        ],
    }
    return _panel(index, "words", "what the pictures show", state, *_asking(index, {"query": _ANYTHING}))


def _vega(index: str, name: str, title: str, spec: Mapping[str, Any]) -> SavedObject:
    state = {"type": "vega", "params": {"spec": json.dumps(spec, indent=2)}, "aggs": []}
    return _panel(index, name, title, state, {"searchSourceJSON": "{}"}, [])


def _panel(
    index: str, name: str, title: str, state: Mapping[str, Any], source: dict[str, str], references: list[dict[str, str]]
) -> SavedObject:
    title = f"{index}: {title}"
    attributes = {
        "title": title,
        "visState": json.dumps({"title": title, **state}),
        "uiStateJSON": "{}",
        "description": "",
        "version": 1,
        "kibanaSavedObjectMeta": source,
    }
    return _object("visualization", index, name, attributes, references)


def _dashboard(index: str, rows: list[tuple[SavedObject, int, int]], query: BarQuery) -> SavedObject:
    """The panels (object, columns of 48, height) from left to right and from top to bottom."""
    panels, references, x, y = [], [], 0, 0
    for number, (shown, width, height) in enumerate(rows):
        place = {"x": x, "y": y, "w": width, "h": height, "i": str(number)}
        name = f"panel_{number}"
        panels.append(
            {"version": "7.10.0", "gridData": place, "panelIndex": str(number), "embeddableConfig": {}, "panelRefName": name}
        )
        references.append({"name": name, "type": shown["type"], "id": shown["id"]})
        x, y = (0, y + height) if x + width == 48 else (x + width, y)
    attributes = {
        "title": f"{index}: pictures",
        "description": "The query bar ranks in the language Lucene; KQL, DQL and filter pills only select.",
        "panelsJSON": json.dumps(panels),
        "optionsJSON": json.dumps({"useMargins": True, "hidePanelTitles": False}),
        "timeRestore": False,
        "version": 1,
        "kibanaSavedObjectMeta": {"searchSourceJSON": json.dumps({"query": _ANYTHING | {"query": query}, "filter": []})},
    }
    return _object("dashboard", index, "dashboard", attributes, references)
