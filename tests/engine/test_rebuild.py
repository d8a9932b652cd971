"""An index made anew beside the one that serves: what searches see meanwhile, what is refused, left and cleared away."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from PIL import Image

from lexlip_es import rebuilding
from lexlip_es.dialects import FieldType
from lexlip_es.encoders import load_encoder
from lexlip_es.engines import ConnectionSettings, Engine, connect
from lexlip_es.errors import LexlipError, ModelMismatchError, UsageError
from lexlip_es.indexing import PictureFolder, Run, TextFile, index_source
from lexlip_es.mappings import index_body, index_meta
from lexlip_es.model_folder import ModelFolder
from lexlip_es.rebuilding import rebuild_index
from lexlip_es.report import Report
from lexlip_es.searching import Searcher
from lexlip_es.target import create_for_load, open_target
from tests.made_model import COLOURS, make_model
from tests.servers import Server, on_servers

# Which server has which terms: `rank_features` of Elasticsearch 8 and 9 come with no package.
FIELDS: dict[str, FieldType] = {
    "opensearch-3.9.0": "rank_features",
    "opensearch-2.19.6": "rank_features",
    "elasticsearch-9.5.3": "sparse_vector",
    "elasticsearch-8.19.21": "sparse_vector",
    "elasticsearch-7.17.29": "rank_features",
}
pytestmark = on_servers(*(os.environ.get("LEXLIP_TEST_SERVERS") or " ".join(FIELDS)).split())
ALIAS, FIRST, SECOND = "hues", "hues-000001", "hues-000002"
PHOTOS = "the photos"
BEAT = 0.1


@dataclass
class House:
    """A server, a folder of three pictures, and the models old and new."""

    engine: Engine
    fields: FieldType
    folder: Path
    model: ModelFolder
    newer: ModelFolder
    report: Report = field(default_factory=Report)

    def run(self, model: ModelFolder | None = None, terms: int | None = None) -> Run:
        return Run.of(load_encoder(model or self.model), self.folder, collection=PHOTOS, terms=terms)

    def index(self, folder: Path | None = None, collection: str = PHOTOS) -> None:
        run = Run.of(load_encoder(self.model), self.folder, collection=collection)
        index_source(self.engine, run, PictureFolder(folder or self.folder), ALIAS, field_type=self.fields)

    def rebuild(self, model: ModelFolder | None = None, *, run: Run | None = None, sources: Any = None, **options: Any) -> Report:
        run = run or self.run(model)
        self.report = run.report
        sources = sources or [(PHOTOS, PictureFolder(self.folder))]
        return rebuild_index(self.engine, run, sources, ALIAS, **{"beat_seconds": BEAT, **options})

    def behind(self) -> list[str]:
        return sorted(self.engine.indices(ALIAS))

    def beside(self) -> list[str]:
        return sorted(self.engine.indices(f"{ALIAS}*"))

    def paths(self) -> list[str]:
        self.engine.refresh(ALIAS)
        return sorted(hit["source"]["path"] for hit in self.engine.scan(ALIAS))

    def meta(self, index: str) -> dict[str, Any]:
        meta: dict[str, Any] = self.engine.indices(index)[index]["mappings"]["_meta"]["lexlip"]
        return meta

    def start_unfinished(self, index: str = SECOND) -> dict[str, Any]:
        """What a rebuild that was killed leaves behind."""
        marked = {**index_meta(self.model, "picture", 3, self.fields), "rebuild": {"id": "gone", "beat": 7}}
        return create_for_load(self.engine, index, marked)


def painted(folder: Path, *names: str) -> Path:
    folder.mkdir(exist_ok=True)
    for number, name in enumerate(names):
        Image.new("RGB", (20, 10), COLOURS[number % 3]).save(folder / name)
    return folder


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[ModelFolder, ModelFolder]:
    folder = tmp_path_factory.mktemp("models")
    return make_model(folder / "old"), make_model(folder / "new", name="newer", seed="1")


@pytest.fixture(scope="session")
def connected(server: Server) -> Iterator[Engine]:
    engine = connect(ConnectionSettings(urls=(server.url,)))
    yield engine
    engine.close()


@pytest.fixture
def house(
    server: Server, connected: Engine, models: tuple[ModelFolder, ModelFolder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[House]:
    monkeypatch.setattr(rebuilding, "LAST_SEARCHES_SECONDS", 0.5)
    folder = painted(tmp_path / "photos", "red.png", "green.png", "blue.png")
    yield House(connected, FIELDS[server.name], folder, *models)
    for index in connected.indices(f"{ALIAS}*"):
        connected.delete_index(index)


def once(action: Callable[[], object]) -> Callable[[], None]:
    """The action, to be carried out at the first call only."""
    waiting = [action]

    def act() -> None:
        if waiting:
            waiting.pop()()

    return act


def said(attempt: Callable[[], object], kind: type[LexlipError] = LexlipError) -> str:
    with pytest.raises(kind) as refusal:
        attempt()
    return str(refusal.value)


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
                lists.append([hit.path[:3] for hit in searcher.by_text("red green blue", 30).hits])
            except Exception as error:
                failures.append(error)

    threads = [Thread(target=search) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        house.rebuild(sources=[(PHOTOS, PictureFolder(after))], delete_old=delete_old)
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


def test_other_collections_are_never_lost_to_another_model(house: House, tmp_path: Path) -> None:
    house.index()
    more = painted(tmp_path / "more", "a.png", "b.png")
    house.index(more, "more")
    assert "also holds 2 documents of other collections" in said(lambda: house.rebuild(house.newer))
    assert "also holds 2 documents" in said(lambda: house.rebuild(run=house.run(terms=2)))
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
    painted(house.folder, *(f"more{number}.png" for number in range(60)))
    report = house.rebuild(run=run)
    assert report.exit_code == 130 and 0 < report.indexed < 63
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
    assert f"only 2 documents, where {FIRST} has 3 and goes on serving" in said(house.rebuild)
    assert (house.behind(), house.beside()) == ([FIRST], [FIRST])
    assert house.rebuild(even_if_smaller=True).exit_code == 3
    assert house.paths() == ["blue.png", "green.png"]


def test_an_older_schema_is_refused_with_the_command_that_makes_it_anew(house: House) -> None:
    house.index()
    house.engine.put_mapping(FIRST, {"_meta": {"lexlip": {"schema": 0, "kind": "picture"}}})
    for attempt in (house.index, lambda: Searcher(house.engine, load_encoder(house.model), ALIAS)):
        assert "schema 0, this version reads 1: make its documents anew with lexlip-es rebuild" in said(attempt)
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
