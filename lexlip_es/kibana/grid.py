"""A grid of ranked pictures as a Vega specification, which Kibana and Dashboards fill with what their query bar asks.

`%context%` puts the dashboard's query and filters into the request (see their `es_query_parser.ts`), so a query
in Lucene's language ranks the grid. The size is the panel's: they set the signals `width` and `height`.
"""

import json
from typing import Any

_PICTURES = 24
_WIDTH, _HEIGHT, _GAP, _LINE = 160, 150, 10, 16
_ACROSS, _DOWN = _WIDTH + _GAP, _HEIGHT + 2 * _LINE + 2 * _GAP  # from one card to the next
_DARK, _LIGHT = "#343741", "#f5f7fa"  # both given, so that it can be read in light and dark themes
_WORDS = 8


def grid_spec(index: str, thumbnail_base: str | None) -> dict[str, Any]:
    """The specification (Vega 5) of as many cards as fit; without thumbnails each shows its picture's heaviest words instead."""
    words = {
        "type": "text",
        "text": {"signal": f"slice(datum._source.top_terms, 0, {_WORDS})"},
        "dx": {"value": _GAP},
        "dy": {"value": _LINE},
        "lineHeight": {"value": _LINE},
    }
    thumbnail = {
        "type": "image",
        "url": {"signal": f"{json.dumps(thumbnail_base)} + '/' + datum._source.content_hash"},
        "width": {"value": _WIDTH},
        "height": {"value": _HEIGHT - _GAP},
    }
    return {
        "$schema": "https://vega.github.io/schema/vega/v5.json",
        "padding": _GAP,
        "signals": [
            {"name": "columns", "update": f"max(1, floor(width / {_ACROSS}))"},
            {"name": "rows", "update": f"max(1, floor(height / {_DOWN}))"},
        ],
        "data": [
            {
                "name": "pictures",
                "url": {
                    "%context%": True,
                    "index": index,
                    "body": {"size": _PICTURES, "_source": ["path", "content_hash", "top_terms"]},
                },
                "format": {"property": "hits.hits"},
                "transform": [
                    {"type": "window", "ops": ["row_number"], "as": ["rank"]},
                    {"type": "filter", "expr": "datum.rank <= columns * rows"},
                    {"type": "formula", "as": "x", "expr": f"(datum.rank - 1) % columns * {_ACROSS}"},
                    {"type": "formula", "as": "y", "expr": f"floor((datum.rank - 1) / columns) * {_DOWN}"},
                ],
            }
        ],
        "marks": [
            _card(),
            _mark(words if thumbnail_base is None else thumbnail),
            _line("datum.rank + '.  ' + format(datum._score, '.3f')", _HEIGHT + _LINE / 2),
            _line("datum._source.path", _HEIGHT + 3 * _LINE / 2),
        ],
    }


def _mark(described: dict[str, Any]) -> dict[str, Any]:
    """A mark for each picture, at its card's place; `described` is its type and what it looks like."""
    place = {"x": {"field": "x"}, "y": {"field": "y"}, "fill": {"value": _DARK}}
    look = {name: value for name, value in described.items() if name != "type"}
    return {"type": described["type"], "from": {"data": "pictures"}, "encode": {"update": place | look}}


def _card() -> dict[str, Any]:
    said = "{path: datum._source.path, score: datum._score, words: join(datum._source.top_terms, ', ')}"
    size = {"width": {"value": _WIDTH}, "height": {"value": _DOWN - _GAP}}
    return _mark({"type": "rect", **size, "fill": {"value": _LIGHT}, "cornerRadius": {"value": 4}, "tooltip": {"signal": said}})


def _line(text: str, y: float) -> dict[str, Any]:
    return _mark(
        {
            "type": "text",
            "text": {"signal": text},
            "dx": {"value": _GAP},
            "dy": {"value": y},
            "limit": {"value": _WIDTH - 2 * _GAP},
            "baseline": {"value": "middle"},
        }
    )
