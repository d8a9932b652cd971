"""Indices that keep no terms in `_source`, or pack it tightly; and two shards that are loaded into one new index at once."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lexlip_es.dialects import FieldType
from lexlip_es.doctor import examine
from lexlip_es.encoders import load_encoder
from lexlip_es.engines import ConnectionSettings, Engine, connect
from lexlip_es.errors import LexlipError
from lexlip_es.indexing import index_source
from lexlip_es.loading import Run
from lexlip_es.model_folder import ModelFolder
from lexlip_es.picture_index import PictureIndex
from lexlip_es.rebuilding import rebuild_index
from lexlip_es.report import Report
from lexlip_es.searching import Searcher
from lexlip_es.shards import Shard
from lexlip_es.sources.folder import PictureFolder
from tests.made_model import make_model
from tests.servers.server import Server

ALIAS, USUAL = "once", "once-usual"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    return make_model(tmp_path_factory.mktemp("model") / "hues")


@pytest.fixture
def photos(engine: Engine, tmp_path: Path) -> Iterator[Path]:
    for i in range(12):
        paint(tmp_path / "photos" / f"{'ab'[i % 2]}/{i}.png", 20 * i)
    yield tmp_path / "photos"
    for index in engine.indices("once*"):
        engine.delete_index(index)


def paint(file: Path, red: int) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), (red, 255 - red, 9)).save(file)


def a_run(model: ModelFolder, photos: Path, collection: str = "photos", **options: Any) -> Run:
    return replace(Run.of(load_encoder(model), photos, collection=collection), workers=0, **options)


def bring(engine: Engine, model: ModelFolder, photos: Path, alias: str = ALIAS, **options: Any) -> Report:
    captions = options.pop("captions", None)
    return index_source(engine, a_run(model, photos), PictureFolder(photos, captions=captions), alias, **options)


def body_of(engine: Engine, alias: str = ALIAS) -> dict[str, Any]:
    return next(iter(engine.indices(alias).values()))


def sources(engine: Engine, alias: str = ALIAS) -> dict[str, dict[str, Any]]:
    return {hit["source"]["path"]: hit["source"] for hit in engine.scan(alias)}


def found(engine: Engine, model: ModelFolder, alias: str) -> list[Any]:
    hits = Searcher(engine, load_encoder(model), alias).by_text("red and green", 12).hits
    return sorted((hit.path, hit.score, hit.terms) for hit in hits)


def test_every_server_finds_what_its_source_does_not_keep_and_says_which_terms_it_was(
    server: Server, model: ModelFolder, tmp_path: Path
) -> None:
    engine = connect(ConnectionSettings(urls=(server.url,)))
    field: FieldType | None = (
        "sparse_vector" if engine.server.product == "elasticsearch" and engine.server.version > (8,) else None
    )
    for i in range(12):
        paint(tmp_path / f"{i}.png", 20 * i)
    try:
        bring(engine, model, tmp_path, USUAL, field_type=field)
        bring(engine, model, tmp_path, write_once=True, compress=True, field_type=field)
        assert all("terms" not in source for source in sources(engine).values())
        assert len(found(engine, model, ALIAS)) == 12
        assert found(engine, model, ALIAS) == found(engine, model, USUAL)
        assert body_of(engine)["settings"]["index"]["codec"] == "best_compression"
    finally:
        for index in engine.indices("once*"):
            engine.delete_index(index)
        engine.close()


def test_a_write_once_index_answers_as_a_usual_one_does(
    engine: Engine, model: ModelFolder, photos: Path, engine_url: str
) -> None:
    bring(engine, model, photos, USUAL)
    bring(engine, model, photos, write_once=True)
    assert body_of(engine)["mappings"]["_meta"]["lexlip"]["write_once"] is True
    assert sources(engine) == {
        path: {name: value for name, value in source.items() if name != "terms"}
        for path, source in sources(engine, USUAL).items()
    }
    assert found(engine, model, ALIAS) == found(engine, model, USUAL)
    settings = ConnectionSettings(urls=(engine_url,))
    with (
        PictureIndex(settings, name=ALIAS, model=model.path) as lean,
        PictureIndex(settings, name=USUAL, model=model.path) as full,
    ):
        hit = full.search("red").hits[0]
        assert lean.explain("red", hit.id) == full.explain("red", hit.id)
    said = [line.said for line in examine(settings, ALIAS, model.path).lines if line.subject == "write-once"]
    assert len(said) == 1 and "_update" in said[0]
    assert not [line for line in examine(settings, USUAL, model.path).lines if line.subject == "write-once"]


def test_what_moves_is_encoded_again_and_keeps_what_was_said_of_it(
    engine: Engine, model: ModelFolder, photos: Path, tmp_path: Path
) -> None:
    said = tmp_path / "captions.csv"
    said.write_text("image,caption\na/0.png,a green wall\na/2.png,another\n")
    bring(engine, model, photos, write_once=True, captions=said)
    before = found(engine, model, ALIAS)
    (photos / "a/0.png").rename(photos / "moved.png")
    os.utime(photos / "a/2.png", (1, 1))
    report = bring(engine, model, photos)  # an index stays what it is
    assert (report.moved, report.unchanged, report.added) == (1, 11, 0)
    captions = {path: source.get("caption") for path, source in sources(engine).items()}
    assert (captions["moved.png"], captions["a/2.png"]) == (["a green wall"], ["another"])
    after = found(engine, model, ALIAS)
    assert [hit[1:] for hit in sorted(after, key=lambda hit: hit[1])] == [
        hit[1:] for hit in sorted(before, key=lambda hit: hit[1])
    ]


def test_an_index_stays_what_it_was_made_as(engine: Engine, model: ModelFolder, photos: Path) -> None:
    bring(engine, model, photos, write_once=True)
    bring(engine, model, photos, USUAL, compress=True)
    for alias, options, remedy in [
        (ALIAS, {"write_once": False}, "rebuild --no-write-once"),
        (USUAL, {"write_once": True}, "rebuild --write-once"),
        (ALIAS, {"compress": True}, "rebuild --compress"),
        (USUAL, {"compress": False}, "rebuild --no-compress"),
    ]:
        with pytest.raises(LexlipError, match=remedy):
            bring(engine, model, photos, alias, **options)
    assert bring(engine, model, photos, write_once=True, compress=False).unchanged == 12
    assert bring(engine, model, photos, USUAL, write_once=False, compress=True).unchanged == 12


def test_a_rebuild_makes_it_and_keeps_it_and_refuses_to_copy_out_of_it(
    engine: Engine, model: ModelFolder, photos: Path, tmp_path: Path
) -> None:
    paint(tmp_path / "others" / "x.png", 77)

    def rebuild(*collections: tuple[str, Path], **options: Any) -> None:
        given = [(name, PictureFolder(folder)) for name, folder in collections]
        rebuild_index(engine, a_run(model, photos), given, ALIAS, **options)

    bring(engine, model, photos)
    rebuild(("photos", photos), write_once=True, compress=True)
    rebuild(("photos", photos))  # as it is
    settings, meta = body_of(engine)["settings"]["index"], body_of(engine)["mappings"]["_meta"]["lexlip"]
    assert (settings["codec"], meta["write_once"]) == ("best_compression", True)
    index_source(engine, a_run(model, tmp_path / "others", "others"), PictureFolder(tmp_path / "others"), ALIAS)
    with pytest.raises(LexlipError, match="out of a write-once index"):
        rebuild(("photos", photos))
    rebuild(("photos", photos), ("others", tmp_path / "others"), write_once=False, compress=False)
    assert len(sources(engine)) == 13 and all("terms" in source for source in sources(engine).values())
    assert "codec" not in body_of(engine)["settings"]["index"]


def test_two_shards_loaded_at_once_into_a_new_index_end_like_a_clean_run(
    engine: Engine, model: ModelFolder, photos: Path
) -> None:
    for i in range(12, 240):
        paint(photos / f"c/{i}.png", i)

    def load(number: int) -> Report:
        run = a_run(model, photos, shard=Shard(number, 3))
        return index_source(engine, run, PictureFolder(photos), ALIAS)

    with ThreadPoolExecutor(3) as pool:
        reports = list(pool.map(load, (1, 2, 3)))
    assert sum(report.added for report in reports) == 240
    assert not any(report.failed or report.removed for report in reports)
    bring(engine, model, photos, USUAL)
    assert sources(engine) == sources(engine, USUAL)
    settings, meta = body_of(engine)["settings"]["index"], body_of(engine)["mappings"]["_meta"]["lexlip"]
    assert settings["auto_expand_replicas"] == "0-1" and "refresh_interval" not in settings
    assert "load" not in meta
