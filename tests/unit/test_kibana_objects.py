import json
from typing import Any

import pytest

from lexlip_es.errors import UsageError
from lexlip_es.kibana.objects import ndjson, saved_objects
from tests.unit.kibana_shapes import NEWEST_MIGRATION, SHAPES, TAG_CLOUD, TAG_CLOUD_SCHEMAS, URL_FORMAT, Shape

BASE = "https://pictures.example:8080/thumbnails/key"
OBJECTS = saved_objects("pictures", BASE)


def named(kind: str, name: str = "") -> dict[str, Any]:
    (found,) = (one for one in OBJECTS if one["type"] == kind and one["id"].endswith(name))
    attributes: dict[str, Any] = found["attributes"]
    return attributes


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: f"{shape.product} {shape.kind} {shape.commit[:8]}")
def test_every_product_takes_every_attribute(shape: Shape) -> None:
    ours = [set(one["attributes"]) for one in OBJECTS if one["type"] == shape.kind]
    assert ours
    for attributes in ours:
        assert shape.demanded <= attributes
        assert shape.allowed is None or attributes <= shape.allowed


def test_the_formatter_and_the_tag_cloud_say_only_what_both_products_know() -> None:
    params = json.loads(named("index-pattern")["fieldFormatMap"])["content_hash"]["params"]
    assert set(params) <= URL_FORMAT and params["type"] == "img"
    cloud = json.loads(named("visualization", "words")["visState"])
    assert cloud["type"] == "tagcloud" and set(cloud["params"]) <= TAG_CLOUD
    assert {one["schema"]: one["type"] for one in cloud["aggs"]} == TAG_CLOUD_SCHEMAS


def test_the_file_is_one_object_a_line_and_no_product_is_asked_for_a_migration_that_it_does_not_know() -> None:
    lines = ndjson(OBJECTS)
    assert [json.loads(line) for line in lines.splitlines()] == OBJECTS
    assert lines.isascii()
    assert {one["type"] for one in OBJECTS} == set(NEWEST_MIGRATION)
    for one in OBJECTS:
        assert one["migrationVersion"] == {one["type"]: NEWEST_MIGRATION[one["type"]]}


def test_ids_are_stable_and_every_reference_leads_to_an_object_of_the_file() -> None:
    assert saved_objects("pictures", BASE) == OBJECTS
    ids = {(one["type"], one["id"]) for one in OBJECTS}
    assert len(ids) == len(OBJECTS)
    assert not {one["id"] for one in OBJECTS} & {one["id"] for one in saved_objects("others")}
    for one in OBJECTS:
        assert {(reference["type"], reference["id"]) for reference in one["references"]} <= ids
        source = json.loads(one["attributes"].get("kibanaSavedObjectMeta", {}).get("searchSourceJSON", "{}"))
        wanted = {source["indexRefName"]} if "indexRefName" in source else set()
        wanted |= {panel["panelRefName"] for panel in json.loads(one["attributes"].get("panelsJSON", "[]"))}
        assert wanted == {reference["name"] for reference in one["references"]}


def test_the_query_is_the_bar_s_alone_since_panels_would_add_theirs_to_it() -> None:
    query = {"bool": {"should": [{"rank_feature": {"field": "terms.dog", "linear": {}}}], "minimum_should_match": 1}}
    *others, dashboard = saved_objects("pictures", BASE, query)
    assert others == OBJECTS[:-1]
    bar = json.loads(dashboard["attributes"]["kibanaSavedObjectMeta"]["searchSourceJSON"])["query"]
    assert bar == {"query": query, "language": "lucene"}


def test_panels_fill_the_dashboard_without_overlapping() -> None:
    cells: set[tuple[int, int]] = set()
    for panel in json.loads(named("dashboard")["panelsJSON"]):
        place = panel["gridData"]
        own = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert not own & cells and max(x for x, _ in own) < 48
        cells |= own
    assert len(cells) == 48 * (max(y for _, y in cells) + 1)


def test_thumbnails_are_shown_only_from_a_base_that_was_given() -> None:
    formats = json.loads(named("index-pattern")["fieldFormatMap"])
    assert formats["content_hash"]["id"] == "url"
    assert formats["content_hash"]["params"]["urlTemplate"] == BASE + "/{{value}}"
    assert saved_objects("pictures", BASE + "/") == OBJECTS
    assert BASE in named("visualization", "grid")["visState"]
    assert "http" not in ndjson(saved_objects("pictures")).replace("https://vega.github.io/schema", "")
    for refused in ("javascript:alert(1)", "thumbnails", "https://x/{{value}}", "https://x/?q=", 'https://x/"', "https://[x"):
        with pytest.raises(UsageError, match="lexlip-es serve"):
            saved_objects("pictures", refused)


def test_nothing_hides_behind_a_time_range_and_the_search_ranks() -> None:
    assert "timeFieldName" not in named("index-pattern")
    assert named("search")["sort"] == [["_score", "desc"]]
    assert json.loads(named("search")["kibanaSavedObjectMeta"]["searchSourceJSON"])["query"]["language"] == "lucene"
