"""An index made anew beside the one that serves: what searches see meanwhile, and what is behind the alias afterwards."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from threading import Event, Thread

import pytest
from PIL import Image

from lexlip_es.encoders import load_encoder
from lexlip_es.errors import ModelMismatchError
from lexlip_es.mappings import index_meta
from lexlip_es.searching import Searcher
from lexlip_es.sources.folder import PictureFolder
from lexlip_es.subjects import Subject
from tests.engine.house import ALIAS, FIRST, PHOTOS, SECOND, House, painted, rebuilding_servers, said
from tests.engine.house import connected as connected
from tests.engine.house import house as house
from tests.engine.house import models as models
from tests.servers import Server

pytestmark = rebuilding_servers


def test_another_model_serves_after_a_rebuild_and_the_old_index_is_kept(house: House) -> None:
    house.index()
    refusal = said(lambda: Searcher(house.engine, load_encoder(house.newer), ALIAS), ModelMismatchError)
    assert "lexlip-es rebuild" in refusal
    report = house.rebuild(house.newer)
    assert (report.exit_code, report.indexed, house.behind(), house.beside()) == (0, 3, [SECOND], [FIRST, SECOND])
    assert f"{FIRST} is kept" in report.notes[-1]
    assert Searcher(house.engine, load_encoder(house.newer), ALIAS).by_text("green").hits[0].path == "green.png"
    assert house.meta(SECOND) == index_meta(house.newer, "picture", 3, house.fields)
    house.rebuild()
    assert house.behind() == ["hues-000003"]


def test_a_searcher_made_before_a_rebuild_notices_it(house: House) -> None:
    house.index()
    searcher = Searcher(house.engine, load_encoder(house.model), ALIAS)
    house.rebuild(run=house.run(terms=2))
    found = searcher.by_text("green")
    assert found.hits[0].path == "green.png" and searcher.standing().meta.index == SECOND
    house.rebuild(house.newer)
    with pytest.raises(ModelMismatchError, match="lexlip-es rebuild"):
        searcher.by_text("green")


def test_the_next_index_has_the_settings_and_the_alias_of_the_old_one(house: House) -> None:
    house.index()
    house.engine.put_settings(FIRST, {"index": {"refresh_interval": "7s"}})
    only = {"term": {"path": "red.png"}}
    house.engine.update_aliases([{"add": {"index": FIRST, "alias": ALIAS, "filter": only}}])
    house.rebuild()
    body = house.engine.indices(ALIAS)[SECOND]
    usual = body["settings"]["index"]
    assert (usual["refresh_interval"], usual["auto_expand_replicas"]) == ("7s", "0-1")
    assert list(body["aliases"][ALIAS]) == ["filter"]
    assert house.engine.count(ALIAS) == 1


def test_the_old_index_goes_when_that_is_asked_for_unless_something_else_uses_it(house: House) -> None:
    house.index()
    assert house.rebuild(delete_old=True).notes[-1] == f"{FIRST} is deleted."
    assert house.beside() == [SECOND]
    house.engine.update_aliases([{"add": {"index": SECOND, "alias": "hues-of-others"}}])
    assert "also behind hues-of-others" in house.rebuild(delete_old=True).notes[-1]
    assert SECOND in house.beside()


@pytest.mark.parametrize("delete_old", [False, True])
def test_searches_during_the_swap_answer_wholly_from_the_old_or_the_new_index(
    house: House, tmp_path: Path, delete_old: bool
) -> None:
    house.index(painted(tmp_path / "before", *(f"old{number}.png" for number in range(30))))
    after = painted(tmp_path / "after", *(f"new{number}.png" for number in range(30)))
    ended, lists, failures = Event(), list[list[str]](), list[Exception]()

    def search() -> None:
        searcher = Searcher(house.engine, load_encoder(house.model), ALIAS)
        while not ended.is_set():
            try:
                subject = Subject.of(searcher.encoder, "red green blue")
                lists.append([hit.path[:3] for hit in searcher.search(subject, 30, all=True).hits])  # they look the same
            except Exception as error:
                failures.append(error)

    threads = [Thread(target=search) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        house.rebuild(sources=[(PHOTOS, PictureFolder(after))], delete_old=delete_old, even_if_smaller=True)
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    assert failures == []
    kinds = [set(found) for found in lists]
    assert {len(found) for found in lists} == {30}
    assert all(kind in ({"old"}, {"new"}) for kind in kinds)
    assert {"old"} in kinds and {"new"} in kinds


def test_other_collections_are_copied_where_documents_stay_alike(house: House, tmp_path: Path) -> None:
    house.index()
    house.index(painted(tmp_path / "more", "a.png", "b.png"), "more")
    report = house.rebuild()
    assert house.paths() == ["a.png", "b.png", "blue.png", "green.png", "red.png"]
    assert "2 documents of other collections were copied" in report.notes[0]
    assert report.indexed == 3
    assert Searcher(house.engine, load_encoder(house.model), ALIAS).by_text("red", 5).hits


def test_the_command_swaps_and_says_so_and_a_killed_one_leaves_the_old_index_serving(
    house: House, server: Server, tmp_path: Path
) -> None:
    house.index()
    many = painted(tmp_path / "many", "000.png")
    Image.effect_noise((1500, 1500), 50).save(many / "000.png")
    for number in range(1, 100):
        (many / f"{number:03}.png").hardlink_to(many / "000.png")
    environment = {**os.environ, "LEXLIP_ES_URL": server.url, "PYTHONPATH": os.pathsep.join(sys.path)}
    options = ["--index", ALIAS, "--collection", PHOTOS, "--model", str(house.newer.path), "--json"]
    command = [sys.executable, "-m", "lexlip_es.cli", "rebuild", *options]
    killed = subprocess.Popen(
        [*command, "--yes", "--images", str(many)], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + 60
    while SECOND not in house.beside() and time.monotonic() < deadline:
        time.sleep(0.05)
    killed.kill()
    killed.communicate(timeout=60)
    assert (house.behind(), house.beside()) == ([FIRST], [FIRST, SECOND])
    assert "is being rebuilt" in said(house.index)
    arguments = [*command, "--images", str(house.folder), "--delete-old"]
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["notes"] == [
        f"{ALIAS} is now hues-000003 with 3 documents; before, it was {FIRST} with 3.",
        f"{FIRST} is deleted.",
    ]
    assert all(note in done.stderr for note in report["notes"])
    assert house.beside() == ["hues-000003"]
