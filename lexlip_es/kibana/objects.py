"""Saved objects for Kibana 7.17, 8, 9 and OpenSearch Dashboards 2, 3: one NDJSON, in the shape of 7.10, which all of them read.

The attributes are those that all of them take: Dashboards' mappings are strict and Kibana 9's schemas forbid what they do not
know (`tests/unit/kibana_shapes.py` says where each is published). `migrationVersion` says which of their migrations are done, in
versions that all of them know. Ids are stable, so that a second import replaces the first.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from lexlip_es.drift import STOP_WORDS
from lexlip_es.errors import UsageError
from lexlip_es.kibana.grid import grid_spec

SavedObject = dict[str, Any]
_MIGRATED = {"index-pattern": "7.6.0", "search": "7.9.3", "visualization": "7.10.0", "dashboard": "7.9.3"}
_INDEX = "kibanaSavedObjectMeta.searchSourceJSON.index"
# Of drift's kinds: `[CLS]` and `[unused7]`, one character, stop words. Shorter than the engines' limit for one (1,000).
_SUSPICIOUS = "|".join((r"\[.*\]", ".", *sorted(STOP_WORDS)))
_ANYTHING = {"query": "", "language": "lucene"}  # the language of the bar in which queries score
_THUMBNAIL = "180"  # pixels at most, as text: their editors write it so


def saved_objects(index: str, thumbnail_base: str | None = None) -> list[SavedObject]:
    """A data view of the index without a time field, a saved search, three panels, and the dashboard that joins them.

    thumbnail_base: the URL under which `CONTENT_HASH` is a picture's thumbnail; raises `UsageError` where it is none.
    """
    base = None if thumbnail_base is None else _checked(thumbnail_base)
    search = _search(index)
    cloud = _terms_panel(index, "words", "what the pictures show", "tagcloud", "segment", _CLOUD, {"size": 60})
    drift = _terms_panel(
        index, "drift", "words that say nothing", "table", "bucket", _TABLE, {"size": 50, "include": _SUSPICIOUS}
    )
    spec = json.dumps(grid_spec(index, base), indent=2)
    grid = _panel(index, "grid", "ranked pictures", {"type": "vega", "params": {"spec": spec}, "aggs": []}, {})
    dashboard = _dashboard(index, [(grid, 48, 32), (cloud, 30, 14), (drift, 18, 14), (search, 48, 24)])
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


_CLOUD = {"scale": "linear", "orientation": "single", "minFontSize": 12, "maxFontSize": 48, "showLabel": False}
_TABLE = {"perPage": 10, "showPartialRows": False, "showMetricsAtAllLevels": False, "showTotal": False, "totalFunc": "sum"}


def _terms_panel(
    index: str, name: str, title: str, kind: str, schema: str, params: Mapping[str, Any], chosen: Mapping[str, Any]
) -> SavedObject:
    """A panel of how many pictures have each of `top_terms`; `rank_features` itself cannot be counted."""
    ranked = {"field": "top_terms", "orderBy": "1", "order": "desc", "otherBucket": False, "missingBucket": False, **chosen}
    aggs = [
        {"id": "1", "enabled": True, "type": "count", "schema": "metric", "params": {}},
        {"id": "2", "enabled": True, "type": "terms", "schema": schema, "params": ranked},
    ]
    return _panel(index, name, title, {"type": kind, "params": params, "aggs": aggs}, {"query": _ANYTHING})


def _panel(index: str, name: str, title: str, state: Mapping[str, Any], source: Mapping[str, Any]) -> SavedObject:
    """A visualisation; one without a search source of its own (`{}`) asks no data view."""
    asked, references = _asking(index, source) if source else ({"searchSourceJSON": "{}"}, [])
    title = f"{index}: {title}"
    attributes = {
        "title": title,
        "visState": json.dumps({"title": title, **state}),
        "uiStateJSON": "{}",
        "description": "",
        "version": 1,
        "kibanaSavedObjectMeta": asked,
    }
    return _object("visualization", index, name, attributes, references)


def _dashboard(index: str, rows: list[tuple[SavedObject, int, int]]) -> SavedObject:
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
        "kibanaSavedObjectMeta": {"searchSourceJSON": json.dumps({"query": _ANYTHING, "filter": []})},
    }
    return _object("dashboard", index, "dashboard", attributes, references)
