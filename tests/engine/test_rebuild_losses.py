"""What a rebuild would lose: it is named, refused, and lost only by name or with --yes."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from lexlip_es.cli import app
from lexlip_es.engines import http_engine
from lexlip_es.entries import Found
from lexlip_es.errors import UsageError
from lexlip_es.indexing import index_source
from lexlip_es.sources import Extras
from lexlip_es.sources.folder import PictureFolder
from tests.engine.house import ALIAS, FIRST, PHOTOS, SECOND, House, losing, once, one_of_each_product, painted, said
from tests.engine.house import connected as connected
from tests.engine.house import house as house
from tests.engine.house import models as models
from tests.servers import Server

pytestmark = one_of_each_product


@pytest.fixture
def captions(tmp_path: Path) -> Path:
    path = tmp_path / "captions.csv"
    path.write_text("image,caption\nred.png,a red wall\n")
    return path


class Refused(PictureFolder):
    """A folder of which the server refuses one picture, as `dynamic: strict` does a field that it does not know."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.has_extras = True

    def extras(self, found: Found) -> Extras:
        return Extras(meta={"colour": "red"} if found.relative == b"red.png" else {})


def test_a_collection_whose_folder_moved_is_named_and_can_be_dropped(house: House, tmp_path: Path) -> None:
    house.index()
    house.index(painted(tmp_path / "moved", "a.png", "b.png"), "moved")
    refusal = said(lambda: house.rebuild(house.newer))
    assert f"{FIRST} also holds moved (2), which would be lost" in refusal and "--drop-collection NAME" in refusal
    unknown = said(lambda: house.rebuild(house.newer, drop_collections=["mooved"]), UsageError)
    assert unknown.endswith(f"no collection mooved to drop: it has {PHOTOS} (3), moved (2).")
    both = said(lambda: house.rebuild(house.newer, drop_collections=[PHOTOS]), UsageError)
    assert f"{PHOTOS} is to be made and to be dropped" in both
    assert house.beside() == [FIRST]
    house.rebuild(house.newer, drop_collections=["moved"])
    assert (house.behind(), house.paths()) == ([SECOND], ["blue.png", "green.png", "red.png"])


def test_the_command_drops_a_collection_by_name_and_takes_captions_with_their_folder(
    house: House, server: Server, tmp_path: Path, captions: Path
) -> None:
    house.index()
    more = painted(tmp_path / "more", "a.png")
    house.index(more, str(more))
    folders = ["--images", str(house.folder), "--captions", str(captions), "--images", str(more), "--captions", "-"]
    names = ["--index", ALIAS, "--model", str(house.newer.path), "--url", server.url]
    run = CliRunner().invoke(app, ["rebuild", *folders, *names, "--drop-collection", PHOTOS])
    assert run.exit_code == 0, run.output
    found = house.engine.search(ALIAS, {"query": {"match": {"caption": "wall"}}})["hits"]["hits"]
    assert [hit["_source"]["collection"] for hit in found] == [str(house.folder)]
    assert house.paths() == ["a.png", "blue.png", "green.png", "red.png"]


def test_one_of_the_other_collections_is_dropped_and_the_rest_copied(house: House, tmp_path: Path) -> None:
    house.index()
    house.index(painted(tmp_path / "one", "a.png"), "one")
    house.index(painted(tmp_path / "two", "b.png"), "two")
    report = house.rebuild(drop_collections=["one"])
    assert report.notes[0] == f"1 documents of other collections were copied from {FIRST}: two (1)."
    assert house.paths() == ["b.png", "blue.png", "green.png", "red.png"]


def test_many_collections_are_named_by_the_largest(house: House, tmp_path: Path) -> None:
    house.index()
    sources = ({"_id": f"{i}", "source": {"path": "x.png", "collection": f"c{i:02}"}} for i in range(14))
    assert all(result.ok for result in house.engine.bulk(FIRST, sources))
    refusal = said(lambda: house.rebuild(house.newer))
    assert "c00 (1), c01 (1)" in refusal and "c09 (1), and others (4), which would be lost" in refusal


def test_a_small_collection_that_shrinks_beside_a_large_one_is_named(house: House, tmp_path: Path) -> None:
    large = painted(tmp_path / "large", *(f"{number}.png" for number in range(20)))
    house.index(large, "large")
    house.index()
    (house.folder / "red.png").write_text("no picture any more")

    def both() -> list[tuple[str, PictureFolder]]:
        return [("large", PictureFolder(large)), (PHOTOS, PictureFolder(house.folder))]

    assert f"the collection {PHOTOS} would have only 2 documents" in said(lambda: house.rebuild(sources=both()))
    assert house.rebuild(sources=both(), even_if_smaller=True).exit_code == 3


def test_documents_from_another_root_are_named_and_lost_only_if_that_is_meant(house: House, tmp_path: Path) -> None:
    house.index()
    more = painted(tmp_path / "more", "a.png", "b.png")
    house.index(more)
    run = house.run()
    refusal = said(lambda: house.rebuild(run=run))
    assert f"2 documents of the collection {PHOTOS} came from elsewhere than {house.folder}, namely {more} (2)" in refusal
    assert "--yes" in refusal and run.report.indexed == 0  # said before the work
    assert (house.behind(), house.beside()) == ([FIRST], [FIRST])
    house.rebuild(even_if_smaller=True)
    assert (house.behind(), house.paths()) == ([SECOND], ["blue.png", "green.png", "red.png"])


@pytest.mark.parametrize("linked", ["link", "link/inner"])
def test_documents_behind_what_cannot_be_read_are_lost_only_if_that_is_meant(house: House, tmp_path: Path, linked: str) -> None:
    painted(house.folder, *(f"{number}.png" for number in range(10)))
    painted(tmp_path / "away", "a.png")
    painted(tmp_path / "away" / "below", "b.png")
    (house.folder / linked).parent.mkdir(exist_ok=True)
    (house.folder / linked).symlink_to(tmp_path / "away")
    house.index()
    (house.folder / linked).unlink()
    (house.folder / linked).symlink_to(tmp_path / "not mounted")
    (house.folder / "linked.png").symlink_to(tmp_path / "nor this.png")  # of which nothing was indexed
    refusal = said(house.rebuild)
    assert f"2 documents of the collection {PHOTOS} are of files at or below what could not be read, {linked} (2), " in refusal
    assert f"{FIRST} goes on serving" in refusal and "--yes" in refusal
    assert (house.behind(), house.beside()) == ([FIRST], [FIRST])
    house.rebuild(even_if_smaller=True)
    assert (house.behind(), len(house.paths())) == ([SECOND], 13)


def test_what_cannot_be_read_and_never_was_is_no_obstacle(house: House, tmp_path: Path) -> None:
    house.index()
    (house.folder / "link").symlink_to(tmp_path / "not mounted")
    house.rebuild()
    assert (house.behind(), house.paths()) == ([SECOND], ["blue.png", "green.png", "red.png"])


def test_near_copies_are_one_hit_after_a_rebuild_too(house: House, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    beach = Image.fromarray(noise).resize((64, 64), Image.Resampling.NEAREST)
    beach.save(house.folder / "beach.png")
    beach.save(house.folder / "beach.jpg", quality=90)
    painted(tmp_path / "copied")
    beach.save(tmp_path / "copied" / "beach too.webp", lossless=True)
    house.index()
    house.index(tmp_path / "copied", "copied")
    house.rebuild()
    assert house.behind() == [SECOND]
    groups = {hit["source"]["path"]: hit["source"]["duplicate_group"] for hit in house.engine.scan(ALIAS)}
    assert len(groups) == 6
    assert groups["beach.png"] == groups["beach.jpg"] == groups["beach too.webp"] != groups["red.png"]


def test_captions_are_not_lost_unless_that_is_meant(house: House, captions: Path) -> None:
    index_source(house.engine, house.run(), PictureFolder(house.folder, captions=captions), ALIAS, field_type=house.fields)
    run = house.run()
    refusal = said(lambda: house.rebuild(run=run))
    assert f"1 pictures of the collection {PHOTOS} have captions" in refusal and "--captions" in refusal
    assert run.report.indexed == 0  # said before the work
    captions.write_text("image,caption\nelsewhere/red.png,a red wall\n")
    fitting_none = [(PHOTOS, PictureFolder(house.folder, captions=captions))]
    assert "have captions, which none would have any more" in said(lambda: house.rebuild(sources=fitting_none))
    assert (house.behind(), house.beside()) == ([FIRST], [FIRST])
    captions.write_text("image,caption\nred.png,another wall\n")
    house.rebuild(sources=[(PHOTOS, PictureFolder(house.folder, captions=captions))])
    assert house.engine.count(ALIAS, {"match": {"caption": "another"}}) == 1
    house.rebuild(even_if_smaller=True)
    assert house.engine.count(ALIAS, {"exists": {"field": "caption"}}) == 0


def test_a_refused_document_ends_a_rebuild_unless_it_may_go_on_without(house: House) -> None:
    house.index()
    refusal = said(lambda: house.rebuild(sources=[(PHOTOS, Refused(house.folder))]))
    assert "the engine refused 1 documents" in refusal and "or with --yes without them" in refusal
    assert (house.behind(), house.beside()) == ([FIRST], [FIRST])
    report = house.rebuild(sources=[(PHOTOS, Refused(house.folder))], even_if_smaller=True)
    assert (report.exit_code, [path for path, _ in report.failed]) == (3, ["red.png"])
    assert (house.behind(), house.paths()) == ([SECOND], ["blue.png", "green.png"])


def test_a_rebuild_of_nothing_but_refused_documents_never_serves(house: House) -> None:
    house.index()
    for name in ("blue.png", "green.png"):
        (house.folder / name).unlink()
    refusal = said(lambda: house.rebuild(sources=[(PHOTOS, Refused(house.folder))], even_if_smaller=True))
    assert f"{FIRST} goes on serving" in refusal and "--yes" not in refusal


def test_a_copy_that_the_server_refuses_ends_a_rebuild_unless_it_may_go_on_without(house: House, tmp_path: Path) -> None:
    house.index()
    house.index(painted(tmp_path / "more", "a.png", "b.png"), "more")
    house.engine.put_mapping(FIRST, {"properties": {"colour": {"type": "keyword"}}})
    odd = {"path": "odd.png", "collection": "more", "colour": "red"}
    assert all(result.ok for result in house.engine.bulk(FIRST, [{"_id": "odd", "source": odd}]))
    assert "odd.png could not be copied" in said(house.rebuild)
    report = house.rebuild(even_if_smaller=True)
    assert [name for name, _ in report.failed] == ["odd.png"]
    assert house.paths() == ["a.png", "b.png", "blue.png", "green.png", "red.png"]


def test_a_writer_is_noticed_while_the_load_goes_on(house: House) -> None:
    house.index()
    painted(house.folder, *(f"more{number}.png" for number in range(300)))
    run, seen = house.run(), 0

    def write_meanwhile() -> None:
        nonlocal seen
        seen += 1
        if seen == 1:
            assert all(
                result.ok for result in house.engine.bulk(FIRST, [{"_id": "x", "source": {"path": "x.png", "collection": "x"}}])
            )
            assert run.stop.wait(10)

    run.progress = write_meanwhile
    assert f"{FIRST} was written to meanwhile" in said(lambda: house.rebuild(run=run))
    assert 0 < run.report.indexed < 303
    assert (house.behind(), house.beside()) == ([FIRST], [FIRST])


def test_a_page_lost_on_the_way_does_not_end_the_copy(house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    house.index()
    house.index(painted(tmp_path / "more", "a.png", "b.png", "c.png"), "more")
    monkeypatch.setattr(http_engine, "SCAN_PAGE", 1)
    losing(monkeypatch, house.engine, "/_search/scroll", 3, done=True)
    assert house.rebuild().notes[0].startswith("3 documents of other collections were copied")
    assert house.paths() == ["a.png", "b.png", "blue.png", "c.png", "green.png", "red.png"]
    losing(monkeypatch, house.engine, "/_search/scroll", 100)
    assert "does not answer" in said(house.rebuild)


@pytest.mark.parametrize(
    ("address", "times"), [("/_refresh", 6), ("/_count", 6), ("/_stats", 6), ("/_settings", 6), ("/_aliases", 1)]
)
@pytest.mark.parametrize("done", [False, True])
def test_the_end_of_a_rebuild_waits_for_a_server_as_long_as_its_middle(
    house: House, monkeypatch: pytest.MonkeyPatch, address: str, times: int, done: bool
) -> None:
    house.index()
    run = house.run()
    run.progress = once(lambda: losing(monkeypatch, house.engine, address, times, done=done))
    house.rebuild(run=run, beat_seconds=60)
    assert house.behind() == [SECOND]
