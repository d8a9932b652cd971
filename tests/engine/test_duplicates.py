"""Duplicates on a real engine: found among pictures, grouped once and for all, folded in searches."""

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lexlip_es import PictureIndex
from lexlip_es.documents import document_id
from lexlip_es.duplicates import group_duplicates
from lexlip_es.encoders import load_encoder
from lexlip_es.engines import Engine
from lexlip_es.indexing import index_source
from lexlip_es.loading import Run
from lexlip_es.mappings import index_body, index_meta
from lexlip_es.model_folder import ModelFolder
from lexlip_es.searching import Searcher
from lexlip_es.texts import TextFile
from tests.made_model import make_model

NAME = "doubles"
INDEX = f"{NAME}-000001"


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    return make_model(tmp_path_factory.mktemp("models") / "colours")


@pytest.fixture
def pictures(engine: Engine, engine_url: str, model: ModelFolder) -> Iterator[PictureIndex]:
    with PictureIndex(engine_url, NAME, model.path) as index:
        yield index
    for name in engine.indices(f"{NAME}-*"):
        engine.delete_index(name)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two different scenes: one with three copies in other files, one with an exact copy; and two blank pages."""
    folder = tmp_path / "photos"
    folder.mkdir()
    scenes = [Image.fromarray(np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)) for seed in (0, 1)]
    beach, wood = (scene.resize((64, 64), Image.Resampling.NEAREST) for scene in scenes)
    beach.save(folder / "beach.png")
    beach.save(folder / "beach.jpg", quality=90)
    beach.resize((128, 128), Image.Resampling.NEAREST).save(folder / "beach large.png")
    beach.save(folder / "beach.webp", lossless=True)
    wood.save(folder / "wood.png")
    (folder / "wood again.png").write_bytes((folder / "wood.png").read_bytes())
    for name, grey in (("blank.png", 255), ("blank too.png", 250)):
        Image.new("RGB", (64, 64), (grey, grey, grey)).save(folder / name)
    return folder


def groups(engine: Engine) -> dict[str, str]:
    engine.refresh(INDEX)
    return {hit["source"]["path"]: hit["source"]["duplicate_group"] for hit in engine.scan(INDEX)}


def grouped(engine: Engine, pictures: PictureIndex, photos: Path) -> dict[str, str]:
    pictures.index(photos)
    group_duplicates(engine, INDEX)
    return groups(engine)


def test_copies_come_into_one_group_named_by_the_smallest_content(engine: Engine, pictures: PictureIndex, photos: Path) -> None:
    found = grouped(engine, pictures, photos)
    beaches = sorted(hashlib.sha256(path.read_bytes()).hexdigest() for path in photos.glob("beach*"))
    assert {found[path.name] for path in photos.glob("beach*")} == {beaches[0]}
    assert found["wood.png"] == found["wood again.png"] != beaches[0]
    assert len(set(found.values())) == 4  # blank pages are nobody's duplicates
    assert group_duplicates(engine, INDEX) == 0


def test_grouping_that_was_killed_anywhere_ends_the_same(engine: Engine, pictures: PictureIndex, photos: Path) -> None:
    expected = grouped(engine, pictures, photos)
    documents = {hit["source"]["path"]: hit["_id"] for hit in engine.scan(INDEX)}
    wrong = [{"_id": documents[path], "update": {"duplicate_group": "e" * 64}} for path in ("beach.jpg", "wood.png", "blank.png")]
    assert all(result.ok for result in engine.bulk(INDEX, wrong))
    assert group_duplicates(engine, INDEX) == 3
    assert groups(engine) == expected


def test_a_new_copy_with_a_smaller_hash_renames_the_group(engine: Engine, pictures: PictureIndex, photos: Path) -> None:
    before = grouped(engine, pictures, photos)["beach.png"]
    content, tail = (photos / "beach.png").read_bytes(), 0
    while hashlib.sha256(content + bytes([tail])).hexdigest() >= before:
        tail += 1
    (photos / "beach renamed.png").write_bytes(content + bytes([tail]))  # what follows the picture changes nothing in it
    after = grouped(engine, pictures, photos)
    assert {after[path.name] for path in photos.glob("beach*")} == {hashlib.sha256(content + bytes([tail])).hexdigest()}


def test_an_update_changes_its_field_alone_and_a_vanished_document_is_no_error(
    engine: Engine, pictures: PictureIndex, photos: Path
) -> None:
    pictures.index(photos)
    first = next(engine.scan(INDEX))
    updates = [{"_id": first["_id"], "update": {"duplicate_group": "f" * 64}}, {"_id": "gone", "update": {"path": "x"}}]
    assert [(result.ok, result.status) for result in engine.bulk(INDEX, updates)] == [(True, 200), (True, 404)]
    engine.refresh(INDEX)
    after = {hit["_id"]: hit["source"] for hit in engine.scan(INDEX)}
    assert after[first["_id"]] == {**first["source"], "duplicate_group": "f" * 64}
    assert "gone" not in after


def test_documents_without_terms_in_their_source_are_left_alone(
    engine: Engine, model: ModelFolder, pictures: PictureIndex
) -> None:
    body = index_body(index_meta(model, "picture", 3))
    body["mappings"]["_source"] = {"excludes": ["terms"]}
    engine.create_index(INDEX, body)
    load(engine, [("a.png", 0.5, "1", "2")])
    assert group_duplicates(engine, INDEX) == 0
    assert groups(engine) == {"a.png": "2" * 64}


def load(engine: Engine, rows: list[tuple[str, float, str, str]]) -> None:
    """Documents of (path, weight of red, first digit of the content hash, of the group)."""
    documents: list[dict[str, Any]] = [
        {
            "_id": document_id("c", path.encode()),
            "source": {"terms": {"red": weight}, "collection": "c", "path": path, "content_hash": content * 64,
                       "duplicate_group": group * 64},
        }
        for path, weight, content, group in rows
    ]  # fmt: skip
    assert all(result.ok for result in engine.bulk(INDEX, documents))
    engine.refresh(INDEX)


@pytest.fixture
def crowd(engine: Engine, model: ModelFolder, pictures: PictureIndex) -> PictureIndex:
    """120 duplicates that are better than all else, and five others, two of them alike."""
    body = index_body(index_meta(model, "picture", 3))
    engine.create_index(INDEX, {**body, "aliases": {NAME: {}}})
    load(engine, [(f"double {i:03}.png", 1 - i / 512, "a", "a") for i in range(120)])
    load(engine, [(f"{name}.png", weight, name, name) for name, weight in (("b", 0.5), ("c", 0.25), ("d", 0.125), ("e", 0.0625))])
    load(engine, [("b again.png", 0.375, "f", "b")])
    return pictures


def shown(result: Any) -> list[tuple[str, int]]:
    return [(hit.path, hit.duplicates) for hit in result.hits]


def test_a_search_gives_the_best_of_the_k_best_groups(crowd: PictureIndex) -> None:
    result = crowd.search("red", 3)
    assert shown(result) == [("double 000.png", 119), ("b.png", 1), ("c.png", 0)]
    assert [hit.score for hit in result.hits] == [1.0, 0.5, 0.25]
    assert result.folded == result.to_json()["folded"] == 120
    assert result.to_json()["hits"][0]["duplicates"] == 119
    assert shown(crowd.search("red", 10))[2:] == [("c.png", 0), ("d.png", 0), ("e.png", 0)]


def test_all_shows_every_duplicate(crowd: PictureIndex) -> None:
    result = crowd.search("red", 3, all=True)
    assert shown(result) == [("double 000.png", 0), ("double 001.png", 0), ("double 002.png", 0)]
    assert result.folded == 0
    assert len(crowd.search("red", 10_000, all=True).hits) == 125


def test_the_others_of_a_group_are_found_by_its_name(crowd: PictureIndex) -> None:
    group = crowd.search("red", 2).hits[1].group
    assert [path for path, _ in shown(crowd.search("red", filter={"term": {"duplicate_group": group}}, all=True))] == [
        "b.png",
        "b again.png",
    ]


def test_a_filter_comes_before_folding(crowd: PictureIndex) -> None:
    without_b = {"bool": {"must_not": {"term": {"path": "b.png"}}}}
    assert shown(crowd.search("red", 2, without_b))[1] == ("b again.png", 0)


def test_a_smaller_result_window_is_kept_to(crowd: PictureIndex, engine: Engine) -> None:
    engine.put_settings(INDEX, {"index": {"max_result_window": 122}})
    assert shown(crowd.search("red", 4)) == [("double 000.png", 119), ("b.png", 1)]
    engine.put_settings(INDEX, {"index": {"max_result_window": 5}})
    assert shown(crowd.search("red", 5)) == [("double 000.png", 4)]


def test_texts_are_never_folded(engine: Engine, model: ModelFolder, pictures: PictureIndex, tmp_path: Path) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_text("red\nred\nred\n")
    encoder = load_encoder(model)
    index_source(engine, Run.of(encoder, texts), TextFile(texts), f"{NAME}-texts")
    assert len(Searcher(engine, encoder, f"{NAME}-texts").by_text("red").hits) == 3


def test_the_command_line_says_how_many_are_not_shown(crowd: PictureIndex, engine_url: str, model: ModelFolder) -> None:
    command = [sys.executable, "-m", "lexlip_es.cli", "search", "red", "--index", NAME, "--k", "2", "--url", engine_url]
    command += ["--model", str(model.path)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "double 000.png  (and 119 like it)" in run.stdout and "b.png  (and 1 like it)" in run.stdout
    assert "120 duplicates are not shown: --all shows them." in run.stderr
    every = subprocess.run([*command, "--all"], capture_output=True, text=True, check=True)
    assert "double 001.png" in every.stdout and "not shown" not in every.stderr
