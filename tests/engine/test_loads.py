"""The end of a first load: what is looked at again before anybody searches the index, and how long a server may be away."""

from typing import Any

import pytest

from lexlip_es.indexing import index_source
from lexlip_es.loading import Run
from lexlip_es.mappings import model_template
from lexlip_es.sources.folder import PictureFolder
from lexlip_es.target import create_for_load, open_target
from tests.engine.house import ALIAS, FIRST, House, losing, once, one_of_each_product, said
from tests.engine.house import connected as connected
from tests.engine.house import house as house
from tests.engine.house import models as models

pytestmark = one_of_each_product


def load(house: House, run: Run) -> None:
    index_source(house.engine, run, PictureFolder(house.folder), ALIAS, field_type=house.fields)


def change_cluster(house: House, **settings: bool | None) -> None:
    house.engine.request("PUT", "/_cluster/settings", body={"transient": settings})


def opened(house: House) -> Any:
    return open_target(house.engine, ALIAS, house.model, "picture", 3, field_type=house.fields)


def test_an_index_that_is_deleted_during_its_load_and_perhaps_made_by_a_bulk_request_is_not_published(house: House) -> None:
    run = house.run()
    run.progress = once(lambda: house.engine.delete_index(FIRST))
    change_cluster(house, **{"action.auto_create_index": True})  # as servers have it, but for the embedded node
    try:
        refusal = said(lambda: load(house, run))
    finally:
        change_cluster(house, **{"action.auto_create_index": None})
    assert f"{FIRST} was deleted while it was loaded" in refusal  # and made again, unless the senders had asked before
    assert house.behind() == []
    for index in house.engine.indices(FIRST):
        house.engine.delete_index(index)
    house.index()
    assert house.paths() == ["blue.png", "green.png", "red.png"]


def test_an_index_that_is_deleted_during_or_after_its_load_is_missed(house: House) -> None:
    run = house.run()
    run.progress = once(lambda: house.engine.delete_index(FIRST))
    change_cluster(house, **{"action.auto_create_index": False})
    try:
        assert f"{FIRST} was deleted while it was loaded: index once more" in said(lambda: load(house, run))
    finally:
        change_cluster(house, **{"action.auto_create_index": None})

    def deleted() -> None:
        with opened(house):
            house.engine.delete_index(FIRST)

    assert f"{FIRST} was deleted while it was loaded: index once more" in said(deleted)


def test_an_index_of_the_same_name_and_kind_is_not_taken_for_the_one_that_was_loaded(house: House) -> None:
    def replaced() -> None:
        with opened(house) as target:
            house.engine.delete_index(FIRST)
            create_for_load(house.engine, FIRST, {key: value for key, value in target.meta.items() if key != "load"})

    assert "something else came in its place" in said(replaced)
    assert house.behind() == []


def test_of_two_loads_at_once_the_second_leaves_the_settings_of_the_serving_index_alone(house: House) -> None:
    with opened(house):
        house.index()
        house.engine.put_settings(FIRST, {"index": {"refresh_interval": "7s"}})
    assert house.engine.indices(ALIAS)[FIRST]["settings"]["index"]["refresh_interval"] == "7s"


def test_an_alias_that_came_to_stand_for_another_index_is_left_there(house: House) -> None:
    def overtaken() -> None:
        with opened(house):
            house.engine.create_index("hues-of-others", {"aliases": {ALIAS: {}}})

    assert f"{ALIAS} came to stand for hues-of-others while {FIRST} was loaded" in said(overtaken)
    assert house.behind() == ["hues-of-others"]


@pytest.mark.parametrize("address", ["/_refresh", "/_settings", "/_mapping"])
def test_the_end_of_a_load_waits_for_a_server_as_long_as_its_middle(
    house: House, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    losing(monkeypatch, house.engine, address, 6)
    house.index()
    assert house.behind() == [FIRST]


@pytest.mark.parametrize("done", [False, True])
def test_a_lost_answer_about_the_alias_is_no_failure(house: House, monkeypatch: pytest.MonkeyPatch, done: bool) -> None:
    losing(monkeypatch, house.engine, "/_aliases", 1, done=done)
    house.index()
    assert house.behind() == [FIRST]


def test_a_search_does_not_wait_as_long_as_a_load(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.index()
    losing(monkeypatch, house.engine, "/_search", 6)
    assert "does not answer" in said(lambda: house.engine.search(ALIAS, {}))


def test_the_template_claims_our_numbered_names_alone(house: House) -> None:
    family: Any = "opensearch" if house.fields == "rank_features" else "elasticsearch-sparse-vector"
    template = model_template(house.model, ALIAS, family=family, server=house.engine.server)
    house.engine.put_template(template.name, template.body)
    try:
        house.engine.create_index(f"{ALIAS}-thumbnails", {})
        house.engine.create_index(FIRST, {})
        made = house.engine.indices(f"{ALIAS}-*")
    finally:
        house.engine.request("DELETE", f"/_index_template/{template.name}")
    assert made[f"{ALIAS}-thumbnails"]["mappings"] == {}
    assert "lexlip" in made[FIRST]["mappings"]["_meta"]


def test_a_server_that_makes_no_new_index_is_not_told_as_a_lack_of_rights(house: House) -> None:
    if house.engine.server.product != "opensearch":  # which alone has this block
        assert "cluster.blocks.create_index" in said(lambda: change_cluster(house, **{"cluster.blocks.create_index": True}))
        return
    change_cluster(house, **{"cluster.blocks.create_index": True})
    try:
        refusal = said(house.index)
    finally:
        change_cluster(house, **{"cluster.blocks.create_index": None})
    assert "makes no new index (blocked by: [FORBIDDEN/10/cluster create-index blocked (api)])" in refusal
    assert "free disk space there" in refusal and "user" not in refusal
