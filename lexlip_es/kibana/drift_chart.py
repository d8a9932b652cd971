"""The drift panel as a Vega specification: which words that say nothing about a picture do many pictures show, and how many.

`rank_features` cannot be counted, so these are the words among each picture's heaviest, `top_terms`; `lexlip-es evaluate` counts
all of a picture's terms.
"""

from typing import Any

from lexlip_es.drift import HIGH_SHARE, SUSPICIOUS_WORDS

_WORDS = 30
_RED, _GREY = "#bd271e", "#98a2b3"  # told apart from a light and from a dark page


def drift_spec(index: str) -> dict[str, Any]:
    """The specification (Vega 5) of a bar a word, as long as its share of the pictures that match the query bar.

    A bar is red from the share on at which drift is suspicious.
    """
    words = {"terms": {"field": "top_terms", "include": SUSPICIOUS_WORDS, "size": _WORDS}}
    body = {"size": 0, "aggs": {"pictures": {"filter": {"match_all": {}}, "aggs": {"words": words}}}}
    bar = {
        "y": {"scale": "words", "field": "word.key"},
        "height": {"scale": "words", "band": 1},
        "x": {"scale": "shares", "value": 0},
        "x2": {"scale": "shares", "field": "share"},
        "fill": {"signal": f"datum.share >= {HIGH_SHARE} ? '{_RED}' : '{_GREY}'"},
        "tooltip": {"signal": "{title: datum.word.key, share: format(datum.share, '.1%')}"},
    }
    return {
        "$schema": "https://vega.github.io/schema/vega/v5.json",
        "padding": 5,
        "data": [
            {
                "name": "words",
                "url": {"%context%": True, "index": index, "body": body},
                "format": {"property": "aggregations.pictures"},
                "transform": [
                    {"type": "flatten", "fields": ["words.buckets"], "as": ["word"]},
                    {"type": "formula", "as": "share", "expr": "datum.word.doc_count / datum.doc_count"},
                ],
            }
        ],
        "scales": [
            {
                "name": "words",
                "type": "band",
                "domain": {"data": "words", "field": "word.key"},
                "range": "height",
                "padding": 0.15,
            },
            {"name": "shares", "domain": {"data": "words", "field": "share"}, "range": "width", "zero": True, "nice": True},
        ],
        "axes": [
            {"orient": "left", "scale": "words"},
            {"orient": "bottom", "scale": "shares", "format": ".0%", "title": "share of pictures", "tickCount": 5},
        ],
        "marks": [{"type": "rect", "from": {"data": "words"}, "encode": {"update": bar}}],
    }
