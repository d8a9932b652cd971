"""The index is the only state: what a run does is decided by what the engine holds, and ends like a clean run."""

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lexlip_es.encoders import Encoder, load_encoder
from lexlip_es.engines import Engine
from lexlip_es.errors import LexlipError
from lexlip_es.indexing import compare_source, index_source
from lexlip_es.loading import Run
from lexlip_es.model_folder import ModelFolder
from lexlip_es.pixels import Pixels
from lexlip_es.report import Report
from lexlip_es.shards import Shard
from lexlip_es.sources.folder import PictureFolder
from lexlip_es.sources.table import PictureTable
from lexlip_es.texts import TextFile
from lexlip_es.weights import SparseWeights
from tests.made_model import make_model

ALIAS, CLEAN, PHOTOS = "daily", "daily-clean", "the photos"


@dataclass
class Counting:
    """The encoder, and how many pictures it was given."""

    encoder: Encoder
    pictures: int = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.encoder, name)

    def encode_pictures(self, pixels: Sequence[Pixels]) -> SparseWeights:
        self.pictures += len(pixels)
        return self.encoder.encode_pictures(pixels)


@dataclass
class Daily:
    """An index of a folder that changes."""

    engine: Engine
    encoder: Counting
    root: Path
    options: dict[str, Any] = field(default_factory=dict)

    def paint(self, path: str, red: int, green: int = 0) -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (red, green, 9)).save(self.root / path)

    def run(self, collection: str = PHOTOS, **options: Any) -> Run:
        return replace(Run.of(self.encoder, self.root, collection=collection), workers=0, **options)  # type: ignore[arg-type]

    def index(self, alias: str = ALIAS, *, shard: Shard | None = None, captions: Path | None = None, **options: Any) -> Report:
        run = self.run(**({"shard": shard} if shard else {}))
        return index_source(self.engine, run, PictureFolder(self.root, captions=captions), alias, **options)

    def documents(self, alias: str = ALIAS) -> dict[str, dict[str, Any]]:
        self.engine.refresh(alias)
        return {hit["source"]["path"]: hit for hit in self.engine.scan(alias)}

    def is_like_a_clean_run(self) -> bool:
        self.index(CLEAN)
        return self.documents() == self.documents(CLEAN)


def counts(report: Report) -> dict[str, int]:
    found = {name: getattr(report, name) for name in ("added", "changed", "moved", "removed", "unchanged")}
    return {name: number for name, number in {**found, "skipped": len(report.skipped)}.items() if number}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    return make_model(tmp_path_factory.mktemp("model") / "hues")


@pytest.fixture
def daily(engine: Engine, model: ModelFolder, tmp_path: Path) -> Iterator[Daily]:
    house = Daily(engine, Counting(load_encoder(model)), tmp_path / "photos")
    for i in range(10):
        house.paint(f"{'ab'[i % 2]}/{i}.png", 20 * i)
    yield house
    for index in engine.indices("daily*"):
        engine.delete_index(index)


def test_a_second_run_writes_nothing(daily: Daily) -> None:
    assert counts(daily.index()) == {"added": 10}
    seen = daily.engine.request("GET", f"/{ALIAS}-000001/_stats/indexing")["_all"]["primaries"]["indexing"]["index_total"]
    daily.encoder.pictures = 0
    again = daily.index()
    assert (counts(again), again.indexed, again.exit_code) == ({"unchanged": 10}, 0, 0)
    now = daily.engine.request("GET", f"/{ALIAS}-000001/_stats/indexing")["_all"]["primaries"]["indexing"]["index_total"]
    assert (now, daily.encoder.pictures) == (seen, 0)


def test_every_kind_of_change_ends_like_a_clean_run_and_only_new_content_is_encoded(daily: Daily) -> None:
    daily.index()
    daily.encoder.pictures = 0
    daily.paint("new.png", 7, 200)
    daily.paint("a/0.png", 8, 220)  # other content, perhaps of the same size
    os.utime(daily.root / "a/2.png", (1, 1))  # only touched
    (daily.root / "c").mkdir()
    (daily.root / "a/4.png").rename(daily.root / "c/moved.png")
    shutil.copy2(daily.root / "a/6.png", daily.root / "c/copied.png")
    (daily.root / "b/1.png").unlink()
    report = daily.index()
    assert counts(report) == {"added": 2, "changed": 1, "moved": 1, "removed": 1, "unchanged": 7}
    assert daily.encoder.pictures == 2
    assert daily.is_like_a_clean_run()


def test_a_folder_that_is_renamed_is_moved_whole(daily: Daily) -> None:
    daily.index()
    daily.encoder.pictures = 0
    (daily.root / "a").rename(daily.root / "z")
    (daily.root / "b").rename(daily.root / "y")
    assert counts(daily.index()) == {"moved": 10}
    assert daily.encoder.pictures == 0
    assert daily.is_like_a_clean_run()


def test_equal_pictures_of_one_run_are_encoded_once(daily: Daily) -> None:
    for i in range(5):
        shutil.copy(daily.root / "a/0.png", daily.root / f"copy{i}.png")
    assert counts(daily.index()) == {"added": 15}
    assert daily.encoder.pictures == 10


def test_more_than_a_fifth_gone_is_believed_only_when_told_so(daily: Daily) -> None:
    daily.index()
    for i in (0, 2, 4):
        (daily.root / f"a/{i}.png").unlink()
    report = daily.index()
    assert counts(report) == {"unchanged": 7}
    assert "3 of 10 pictures are gone" in report.notes[0] and "--yes" in report.notes[0]
    assert report.exit_code == 3
    assert counts(daily.index(keep_missing=True, even_if_many=True)) == {"unchanged": 7}
    assert counts(daily.index(even_if_many=True)) == {"removed": 3, "unchanged": 7}
    assert daily.is_like_a_clean_run()


def test_a_missing_or_empty_folder_removes_nothing(daily: Daily) -> None:
    daily.index()
    shutil.move(daily.root, daily.root.with_name("elsewhere"))
    for _ in range(2):  # missing, then empty: a mount point without its disk
        with pytest.raises(LexlipError):
            daily.index(even_if_many=True)
        daily.root.mkdir(exist_ok=True)
    assert len(daily.documents()) == 10


def test_what_lies_behind_something_unreadable_is_not_gone(daily: Daily, tmp_path: Path) -> None:
    (daily.root / "a").rename(tmp_path / "drive")
    (daily.root / "a").symlink_to(tmp_path / "drive")
    daily.index()
    (tmp_path / "drive").rename(tmp_path / "unplugged")
    (daily.root / "b/1.png").unlink()
    report = daily.index()
    assert counts(report) == {"unchanged": 4, "removed": 1, "skipped": 1}
    assert "5 documents stay" in report.notes[0]


def test_a_picture_of_a_kind_that_is_not_read_any_more_stays(daily: Daily, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pillow_heif")
    (daily.root / "a/0.png").rename(daily.root / "a/0.heic")  # content decides how it is decoded, the name whether it is
    daily.index()
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    (daily.root / "b/1.png").unlink()
    report = daily.index()
    assert counts(report) == {"unchanged": 8, "removed": 1, "skipped": 1}
    assert "1 documents stay" in report.notes[0]
    assert "a/0.heic" in daily.documents()


def test_rows_that_do_not_fit_or_lose_their_name_remove_nothing(daily: Daily, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"

    def index(*rows: str) -> Report:
        table.write_text("\n".join(("path,stars", *rows)) + "\n")
        source = PictureTable(table, images=daily.root, meta=["stars:long"])
        return index_source(daily.engine, daily.run(), source, ALIAS, even_if_many=True)

    assert counts(index("a/0.png,1", "a/2.png,2", "a/4.png,3")) == {"added": 3}
    assert counts(index("a/0.png,many", "a/2.png,2", "a/4.png,3")) == {"unchanged": 2, "skipped": 1}
    assert counts(index("a/0.png,1", ",2", "a/4.png,3")) == {"unchanged": 2, "skipped": 1}
    assert len(daily.documents()) == 3
    assert counts(index("a/0.png,1", "a/4.png,3")) == {"unchanged": 2, "removed": 1}


def test_a_folder_never_removes_another_folders_pictures_of_the_same_collection(daily: Daily, tmp_path: Path) -> None:
    daily.index()
    other = replace(daily, root=tmp_path / "other")
    for i in range(40):
        other.paint(f"{i}.png", 2 * i, 100)
    other.paint("a/0.png", 250, 250)
    report = other.index()
    assert counts(report) == {"added": 40, "skipped": 1}
    assert f"from {daily.root}" in report.skipped[0][1]
    assert counts(daily.index()) == {"unchanged": 10}
    assert len(daily.documents()) == 50


def test_a_folder_that_lies_elsewhere_now_takes_its_documents_along(daily: Daily) -> None:
    daily.index()
    daily.encoder.pictures = 0
    daily.root = daily.root.rename(daily.root.with_name("new place"))
    daily.paint("a/0.png", 8, 220)
    report = daily.index()
    assert counts(report) == {"unchanged": 9, "skipped": 1}
    assert "which is not there now" in report.skipped[0][1]
    assert counts(daily.index(even_if_many=True)) == {"unchanged": 9, "changed": 1}
    assert daily.encoder.pictures == 1
    assert daily.is_like_a_clean_run()


def test_a_folder_reached_by_another_name_is_the_same_folder(daily: Daily) -> None:
    daily.index()
    daily.root.with_name("link").symlink_to(daily.root)
    daily.root = daily.root.with_name("link")
    daily.paint("a/0.png", 8, 220)
    assert counts(daily.index()) == {"unchanged": 9, "changed": 1}


def test_another_folders_pictures_are_safe_while_that_folder_is_away(daily: Daily, tmp_path: Path) -> None:
    daily.index()
    away = daily.root.rename(tmp_path / "unplugged")
    other = replace(daily, root=tmp_path / "other")
    other.paint("a/0.png", 250, 250)
    assert counts(other.index()) == {"skipped": 1}
    away.rename(daily.root)
    assert counts(daily.index()) == {"unchanged": 10}


def test_a_folder_that_goes_away_during_a_run_loses_nothing(daily: Daily) -> None:
    daily.index()
    for i in range(10, 13):
        daily.paint(f"b/{i}.png", 10 * i, 100)
    (daily.root / "a/0.png").unlink()
    run = daily.run()

    def unplug() -> None:
        if not daily.root.with_name("unplugged").exists():
            daily.root.rename(daily.root.with_name("unplugged"))
            daily.root.mkdir()

    run.progress = unplug
    report = index_source(daily.engine, run, PictureFolder(daily.root), ALIAS, even_if_many=True)
    assert (report.removed, report.exit_code) == (0, 3)
    assert "went away during the run" in report.notes[-1]
    assert "a/0.png" in daily.documents()


def test_a_file_that_moved_is_taken_along_at_once_even_if_the_run_is_stopped_afterwards(daily: Daily) -> None:
    daily.index()
    (daily.root / "a").rename(daily.root / "z")
    run = daily.run()
    run.progress = run.stop.set
    report = index_source(daily.engine, run, PictureFolder(daily.root), ALIAS)
    assert report.exit_code == 130 and report.moved > 0
    assert len(daily.documents()) == 10
    assert daily.index().exit_code == 0
    assert daily.is_like_a_clean_run()


def test_one_copy_at_a_new_place_makes_up_for_one_that_is_gone_and_no_more(daily: Daily) -> None:
    for i in range(4):
        shutil.copy(daily.root / "a/0.png", daily.root / f"copy{i}.png")
    daily.index()
    for i in range(4):
        (daily.root / f"copy{i}.png").unlink()
    shutil.copy(daily.root / "a/0.png", daily.root / "new.png")
    report = daily.index()
    assert counts(report) == {"moved": 1, "unchanged": 10}
    assert (report.gone, report.exit_code) == (3, 3)
    assert counts(daily.index(even_if_many=True)) == {"unchanged": 11, "removed": 3}


def test_texts_are_brought_up_to_date_too(daily: Daily, tmp_path: Path) -> None:
    said = tmp_path / "texts.txt"
    run = lambda: replace(Run.of(daily.encoder, said, collection="100%25"), workers=0)  # type: ignore[arg-type]  # noqa: E731
    said.write_text("".join(f"red green {'blue ' * i}\n" for i in range(10)))
    assert counts(index_source(daily.engine, run(), TextFile(said), "daily-texts")) == {"added": 10}
    said.write_text("".join(f"red green {'blue ' * i}\n" for i in range(9)))
    assert counts(index_source(daily.engine, run(), TextFile(said), "daily-texts")) == {"unchanged": 9, "removed": 1}


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(daily: Daily) -> None:
    source = PictureFolder(daily.root)
    assert counts(compare_source(daily.engine, daily.run(), source, ALIAS)) == {"added": 10}
    assert not daily.engine.indices(f"{ALIAS}*")
    daily.index()
    before = daily.documents()
    (daily.root / "a/4.png").rename(daily.root / "moved.png")
    (daily.root / "b/1.png").unlink()
    daily.paint("new.png", 7, 200)
    report = compare_source(daily.engine, daily.run(), PictureFolder(daily.root), ALIAS)
    assert (counts(report), report.indexed) == ({"added": 1, "moved": 1, "removed": 1, "unchanged": 8}, 0)
    assert daily.documents() == before
    assert counts(daily.index()) == counts(report)


def test_shards_together_are_the_whole_and_each_removes_only_its_own(daily: Daily) -> None:
    shards = [Shard(number, 3) for number in (1, 2, 3)]
    assert sum(daily.index(shard=shard).added for shard in shards) == 10
    assert daily.is_like_a_clean_run()
    for i in range(10, 30):
        daily.paint(f"b/{i}.png", 5 * i, 50)
    (daily.root / "a/0.png").unlink()
    reports = [daily.index(shard=shard, even_if_many=True) for shard in shards]
    assert sum(report.removed for report in reports) == 1
    assert sum(report.added for report in reports) == 20
    assert daily.is_like_a_clean_run()


def test_captions_that_change_are_news_and_without_a_file_they_stay(daily: Daily, tmp_path: Path) -> None:
    said = tmp_path / "captions.csv"
    said.write_text("image,caption\na/0.png,a night\na/2.png,an evening\n")
    daily.index(captions=said)
    said.write_text("image,caption\na/0.png,a dark night\n")
    daily.encoder.pictures = 0
    assert counts(daily.index(captions=said)) == {"changed": 2, "unchanged": 8}
    assert daily.encoder.pictures == 0
    daily.paint("a/0.png", 250, 250)
    assert counts(daily.index()) == {"changed": 1, "unchanged": 9}
    captions = {path: hit["source"].get("caption") for path, hit in daily.documents().items()}
    assert (captions["a/0.png"], captions["a/2.png"]) == (["a dark night"], None)


def test_of_what_a_list_leaves_out_nothing_is_concluded(daily: Daily, tmp_path: Path) -> None:
    daily.index()
    names = tmp_path / "names.txt"
    names.write_text("a/0.png\n")
    report = index_source(daily.engine, daily.run(), PictureFolder(daily.root, files=names), ALIAS, even_if_many=True)
    assert counts(report) == {"unchanged": 1}
    assert len(daily.documents()) == 10


def test_two_first_loads_at_once_make_one_index(daily: Daily) -> None:
    with ThreadPoolExecutor(2) as pool:
        reports = list(pool.map(lambda _: daily.index(), range(2)))
    assert all(not report.failed for report in reports)
    assert sorted(daily.engine.indices(f"{ALIAS}*")) == [f"{ALIAS}-000001"]
    assert counts(daily.index()) == {"unchanged": 10}
    assert daily.is_like_a_clean_run()
