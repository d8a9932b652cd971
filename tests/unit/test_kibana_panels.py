"""The panels drawn by real Vega, filled as Kibana and Dashboards fill them: the answer takes the request's place.

Their `populateData` sets `values`, and `updateVegaSize` the signals `width` and `height`.
"""

import re
from typing import Any

import pytest
import vl_convert

from lexlip_es.kibana.drift_chart import drift_spec
from lexlip_es.kibana.grid import grid_spec

HITS = [
    {
        "_score": 9.5 - place,
        "_source": {"path": f"a/<{place}>.jpg", "content_hash": f"{place:064x}", "top_terms": ["dog", "sand"]},
    }
    for place in range(8)
]


def drawn(spec: dict[str, Any], answer: dict[str, Any], width: int, height: int) -> str:
    data = {name: value for name, value in spec["data"][0].items() if name != "url"} | {"values": answer}
    svg: str = vl_convert.vega_to_svg({**spec, "data": [data], "width": width, "height": height}, allowed_base_urls=[])
    return svg


def texts(svg: str) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg)


@pytest.mark.parametrize(("width", "height", "shown"), [(700, 420, 8), (360, 420, 4), (360, 200, 2), (50, 50, 1)])
def test_the_grid_shows_the_best_pictures_that_fit(width: int, height: int, shown: int) -> None:
    said = texts(drawn(grid_spec("pictures", None), {"hits": {"hits": HITS}}, width, height))
    assert [text for text in said if text.endswith(".jpg")] == [f"a/&lt;{place}&gt;.jpg" for place in range(shown)]
    assert [text.split() for text in said if text.endswith(".500")] == [[f"{n + 1}.", f"{9.5 - n:.3f}"] for n in range(shown)]


def test_thumbnails_take_the_place_of_words() -> None:
    base = "https://pictures.example/thumbnails/key"
    spec = grid_spec("pictures", base)
    words = drawn(grid_spec("pictures", None), {"hits": {"hits": HITS}}, 360, 200)
    assert "dog" in words and "<image" not in words
    (image,) = (mark for mark in spec["marks"] if mark["type"] == "image")
    assert image["encode"]["update"]["url"] == {"signal": f"\"{base}\" + '/' + datum._source.content_hash"}
    svg = drawn(spec, {"hits": {"hits": HITS}}, 360, 200)  # which may load none here
    assert [text for text in texts(svg) if text.endswith(".jpg")] and "dog" not in "".join(texts(svg))


def test_no_hit_is_an_empty_panel_and_no_error() -> None:
    assert texts(drawn(grid_spec("pictures", None), {"hits": {"hits": []}}, 360, 200)) == []


def test_a_word_that_too_many_pictures_show_is_red() -> None:
    buckets = [{"key": "the", "doc_count": 90}, {"key": "with", "doc_count": 49}]
    svg = drawn(
        drift_spec("pictures"), {"aggregations": {"pictures": {"doc_count": 1000, "words": {"buckets": buckets}}}}, 400, 200
    )
    assert {"the", "with", "share of pictures"} <= set(texts(svg))
    assert (svg.count("#bd271e"), svg.count("#98a2b3")) == (1, 1)
