"""What a rebuild refuses, what it leaves behind when it ends early, and what happens where two runs meet."""

from pathlib import Path
from typing import Any

import pytest

from lexlip_es.encoders import load_encoder
from lexlip_es.errors import UsageError
from lexlip_es.mappings import index_body, index_meta
from lexlip_es.rebuilding import rebuild_index
from lexlip_es.searching import Searcher
from lexlip_es.sources.folder import PictureFolder
from lexlip_es.target import open_target
from lexlip_es.texts import TextFile
from tests.engine.house import ALIAS, FIRST, PHOTOS, SECOND, House, once, one_of_each_product, painted, said
from tests.engine.house import connected as connected
from tests.engine.house import house as house
from tests.engine.house import models as models

pytestmark = one_of_each_product


def test_other_collections_are_never_lost_to_another_model(house: House, tmp_path: Path) -> None:
    house.index()
    more = painted(tmp_path / "more", "a.png", "b.png")
    house.index(more, "more")
    assert "also holds more (2), which would be lost" in said(lambda: house.rebuild(house.newer))
    assert "also holds more (2)" in said(lambda: house.rebuild(run=house.run(terms=2)))
    assert (house.behind(), house.beside()) == ([FIRST], [FIRST])
    house.rebuild(house.newer, sources=[(PHOTOS, PictureFolder(house.folder)), ("more", PictureFolder(more))])
    assert (house.behind(), house.engine.count(ALIAS)) == ([SECOND], 5)


def test_an_index_run_during_a_rebuild_is_refused(house: House) -> None:
    house.index()
    run = house.run()
    refusals = []
    run.progress = lambda: refusals.append(said(house.index))
    house.rebuild(run=run)
    assert len(refusals) == 3
    assert all(f"{ALIAS} is being rebuilt (into {SECOND})" in refusal for refusal in refusals)
    house.index()  # and not afterwards


def test_an_index_run_that_was_there_before_the_rebuild_is_noticed_by_both(house: House) -> None:
    house.index()
    painted(house.folder, "late.png")

    def write_meanwhile() -> None:
        source = {"path": "x.png", "collection": "x"}
        assert all(result.ok for result in house.engine.bulk(FIRST, [{"_id": "x", "source": source}]))

    run = house.run()
    run.progress = once(write_meanwhile)
    assert f"{FIRST} was written to meanwhile" in said(lambda: house.rebuild(run=run))
    assert (house.behind(), house.beside()) == ([FIRST], [FIRST])

    def slow_index() -> None:
        with open_target(house.engine, ALIAS, house.model, "picture", 3):
            house.rebuild()

    assert f"{ALIAS} was rebuilt meanwhile" in said(slow_index)


def test_what_a_crashed_rebuild_left_is_deleted_by_the_next_and_its_name_not_taken_again(house: House) -> None:
    house.index()
    house.start_unfinished()
    assert "if it crashed, run lexlip-es rebuild again" in said(house.index)
    house.rebuild()
    assert (house.behind(), house.beside()) == (["hues-000003"], [FIRST, "hues-000003"])


def test_a_crash_just_after_the_swap_leaves_an_index_that_serves_and_is_never_taken_for_unfinished(house: House) -> None:
    house.index()
    meta = house.start_unfinished()
    house.engine.update_aliases([{"remove": {"index": FIRST, "alias": ALIAS}}, {"add": {"index": SECOND, "alias": ALIAS}}])
    house.engine.put_settings(SECOND, {"index": meta["load"]})
    house.index()
    assert not {"load", "rebuild"} & house.meta(SECOND).keys()
    house.engine.put_mapping(SECOND, {"_meta": {"lexlip": meta}})
    house.rebuild()
    assert house.beside() == [FIRST, SECOND, "hues-000003"]
    assert "rebuild" not in house.meta(SECOND)


def test_two_rebuilds_at_once_are_one(house: House) -> None:
    house.index()
    refusals = []
    run = house.run()
    run.progress = once(lambda: refusals.append(said(lambda: house.rebuild(beat_seconds=2))))
    assert house.rebuild(run=run).indexed == 3
    assert "another rebuild of hues is under way" in refusals[0]
    assert (house.behind(), house.beside()) == ([SECOND], [FIRST, SECOND])


def test_a_rebuild_that_only_seemed_dead_swaps_nothing(house: House) -> None:
    house.index()
    run = house.run()

    run.progress = once(lambda: house.rebuild(house.newer))
    refusal = said(lambda: house.rebuild(run=run, beat_seconds=60))
    assert "another rebuild took the place of this one" in refusal
    assert house.behind() == ["hues-000003"]
    assert house.meta("hues-000003")["model"]["name"] == "newer"


def test_ctrl_c_finishes_what_is_begun_and_leaves_the_old_index_serving(house: House) -> None:
    house.index()
    run = house.run()
    run.progress = run.stop.set
    painted(house.folder, *(f"more{number}.png" for number in range(300)))
    report = house.rebuild(run=run)
    assert report.exit_code == 130 and 0 < report.indexed < 303
    assert (house.behind(), house.beside()) == ([FIRST], [FIRST])
    house.index()  # nothing is in its way


def test_an_error_on_the_way_leaves_the_old_index_serving(house: House) -> None:
    house.index()

    def fail() -> None:
        raise KeyboardInterrupt

    run = house.run()
    run.progress = fail
    with pytest.raises(KeyboardInterrupt):
        house.rebuild(run=run)
    assert (house.behind(), house.beside()) == ([FIRST], [FIRST])


def test_far_fewer_documents_than_before_do_not_serve_unless_that_is_meant(house: House) -> None:
    house.index()
    (house.folder / "red.png").write_text("no picture any more")
    assert f"{PHOTOS} would have only 2 documents, where {FIRST} has 3 and goes on serving" in said(house.rebuild)
    assert (house.behind(), house.beside()) == ([FIRST], [FIRST])
    assert house.rebuild(even_if_smaller=True).exit_code == 3
    assert house.paths() == ["blue.png", "green.png"]


def test_an_older_schema_is_refused_with_the_command_that_makes_it_anew(house: House) -> None:
    house.index()
    house.engine.put_mapping(FIRST, {"_meta": {"lexlip": {"schema": 0, "kind": "picture"}}})
    for attempt in (house.index, lambda: Searcher(house.engine, load_encoder(house.model), ALIAS)):
        assert "schema 0, this version reads 3: make its documents anew with lexlip-es rebuild" in said(attempt)
    house.rebuild(field_type=house.fields)
    assert Searcher(house.engine, load_encoder(house.model), ALIAS).by_text("red").hits


def test_what_is_not_ours_is_never_touched(house: House) -> None:
    engine = house.engine
    theirs = {"mappings": {"properties": {"price": {"type": "float"}}}}
    assert f"there is no index {ALIAS} to rebuild" in said(house.rebuild)
    engine.create_index("hues-theirs", {**theirs, "aliases": {ALIAS: {}}})
    assert "hues-theirs was not made by lexlip-es" in said(house.rebuild)
    engine.delete_index("hues-theirs")
    house.index()
    engine.create_index(SECOND, theirs)
    assert f"the next index would be {SECOND}, but another one has that name" in said(house.rebuild)
    engine.update_aliases([{"add": {"index": SECOND, "alias": ALIAS}}])
    assert f"alias {ALIAS} stands for 2 indices" in said(house.rebuild)
    assert house.beside() == [FIRST, SECOND]
    assert engine.indices(SECOND)[SECOND]["mappings"] == theirs["mappings"]


def test_an_index_without_an_alias_and_one_of_another_kind_are_refused(house: House, tmp_path: Path) -> None:
    meta = index_meta(house.model, "picture", 3, house.fields)
    family: Any = "opensearch" if house.fields == "rank_features" else "elasticsearch-sparse-vector"
    house.engine.create_index(ALIAS, index_body(meta, family=family, server=house.engine.server))
    assert f"{ALIAS} is an index itself" in said(house.rebuild)
    house.engine.delete_index(ALIAS)
    house.index()
    (tmp_path / "texts.txt").write_text("red\n")
    texts = [("texts", TextFile(tmp_path / "texts.txt"))]
    assert "holds pictures, not texts" in said(lambda: house.rebuild(sources=texts))
    numbered = lambda: rebuild_index(house.engine, house.run(), [(PHOTOS, PictureFolder(house.folder))], FIRST)  # noqa: E731
    assert f"write into --index {ALIAS}" in said(numbered, UsageError)


def test_two_sources_of_one_collection_are_refused_before_anything_is_made(house: House) -> None:
    house.index()
    twice = [(PHOTOS, PictureFolder(house.folder))] * 2
    assert PHOTOS in said(lambda: house.rebuild(sources=twice))
    assert house.beside() == [FIRST]
