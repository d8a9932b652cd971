"""The two stories on a real engine: pictures in, ranked hits out, and what must not happen to an index."""

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from lexlip_es.encoders import load_encoder
from lexlip_es.engines import Engine, UnknownIndexError
from lexlip_es.errors import LexlipError, ModelMismatchError, UsageError
from lexlip_es.exporting import export_source
from lexlip_es.indexing import index_source
from lexlip_es.loading import Run
from lexlip_es.mappings import LOAD_SETTINGS, index_body, index_meta
from lexlip_es.model_folder import ModelFolder
from lexlip_es.report import Report
from lexlip_es.searching import Searcher
from lexlip_es.sources.folder import PictureFolder
from lexlip_es.subjects import Subject
from lexlip_es.target import open_target
from lexlip_es.texts import TextFile
from tests.engine.house import in_process
from tests.made_model import COLOURS, make_model

ALIAS = "colour-pictures"


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    return make_model(tmp_path_factory.mktemp("models") / "colours")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three plain pictures, one of them in a folder, and a text that claims to be a picture."""
    root = tmp_path / "photos"
    (root / "deep").mkdir(parents=True)
    for colour, path in zip(COLOURS, ("red.png", "deep/green.jpg", "blue.gif"), strict=True):
        Image.new("RGB", (20, 10), colour).save(root / path)
    (root / "lie.jpg").write_text("I am no picture")
    return root


@pytest.fixture(autouse=True)
def _clean(engine: Engine) -> Iterator[None]:
    yield
    for index in engine.indices("colour-*"):
        engine.delete_index(index)


def indexed(engine: Engine, model: ModelFolder, folder: Path, alias: str = ALIAS, **options: Path) -> Report:
    return index_source(engine, in_process(Run.of(load_encoder(model), folder)), PictureFolder(folder, **options), alias)


def texts_indexed(engine: Engine, model: ModelFolder, texts: Path, alias: str = "colour-texts") -> Report:
    return index_source(engine, Run.of(load_encoder(model), texts), TextFile(texts), alias)


def searcher(engine: Engine, model: ModelFolder, alias: str = ALIAS) -> Searcher:
    return Searcher(engine, load_encoder(model), alias)


def documents(engine: Engine, alias: str = ALIAS) -> dict[str, object]:
    engine.refresh(alias)
    return {hit["_id"]: hit["source"] for hit in engine.scan(alias)}


def test_pictures_are_found_by_what_they_show(engine: Engine, model: ModelFolder, folder: Path) -> None:
    report = indexed(engine, model, folder)
    assert report.indexed == 3
    hits = searcher(engine, model).by_text("a green thing", 3).hits
    assert hits[0].path == "deep/green.jpg"
    assert hits[0].score == pytest.approx(sum(share.contribution for share in hits[0].terms))
    assert [share.term for share in hits[0].terms] == ["green"]


def test_what_is_no_picture_is_named_with_its_reason_and_the_rest_is_indexed(
    engine: Engine, model: ModelFolder, folder: Path
) -> None:
    report = indexed(engine, model, folder)
    assert [path for path, _ in report.skipped] == ["lie.jpg"]
    assert "not a JPEG" in report.skipped[0][1]
    assert report.exit_code == 3


def test_the_index_stands_behind_an_alias_with_its_usual_settings(engine: Engine, model: ModelFolder, folder: Path) -> None:
    indexed(engine, model, folder)
    ((name, body),) = engine.indices(ALIAS).items()
    assert name == f"{ALIAS}-000001"
    assert "refresh_interval" not in body["settings"]["index"]
    assert body["settings"]["index"]["auto_expand_replicas"] == "0-1"
    assert body["mappings"]["_meta"]["lexlip"] == index_meta(model, "picture", model.pruning.picture_terms)


def test_indexing_again_makes_no_second_document(engine: Engine, model: ModelFolder, folder: Path) -> None:
    indexed(engine, model, folder)
    before = documents(engine)
    indexed(engine, model, folder)
    assert documents(engine) == before
    assert len(before) == 3


def test_a_list_of_files_limits_what_is_indexed(engine: Engine, model: ModelFolder, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("red.png\ngone.png\n")
    report = indexed(engine, model, folder, files=tmp_path / "list.txt")
    assert report.indexed == 1
    assert [path for path, _ in report.skipped] == ["gone.png"]


def test_captions_are_kept_beside_the_terms(engine: Engine, model: ModelFolder, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "captions.csv").write_text("image,caption\nred.png,a wall\nred.png,a red wall\n")
    indexed(engine, model, folder, captions=tmp_path / "captions.csv")
    captions = {source["path"]: source.get("caption") for source in documents(engine).values()}  # type: ignore[index,attr-defined]
    assert captions == {"red.png": ["a wall", "a red wall"], "deep/green.jpg": None, "blue.gif": None}


def test_texts_are_found_by_a_picture(engine: Engine, model: ModelFolder, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_text("the red one\nthe blue one\nno colour at all\n")
    texts = tmp_path / "texts.txt"
    report = texts_indexed(engine, model, texts)
    assert (report.indexed, len(report.skipped)) == (2, 1)
    hits = searcher(engine, model, "colour-texts").by_picture(folder / "blue.gif").hits
    assert hits[0].caption == "the blue one"


def test_similar_pictures_are_found_by_a_picture(engine: Engine, model: ModelFolder, folder: Path) -> None:
    indexed(engine, model, folder)
    assert searcher(engine, model).by_picture(folder / "red.png").hits[0].path == "red.png"


def test_an_interrupted_first_load_is_taken_up_and_its_settings_restored(
    engine: Engine, model: ModelFolder, folder: Path
) -> None:
    with pytest.raises(RuntimeError), open_target(engine, ALIAS, model, "picture", 3):
        raise RuntimeError("the machine went down")
    assert engine.indices(ALIAS) == {}
    half = engine.indices(f"{ALIAS}-000001")[f"{ALIAS}-000001"]
    assert half["settings"]["index"]["refresh_interval"] == LOAD_SETTINGS["refresh_interval"]
    indexed(engine, model, folder)
    body = engine.indices(ALIAS)[f"{ALIAS}-000001"]
    assert "refresh_interval" not in body["settings"]["index"]
    assert "load" not in body["mappings"]["_meta"]["lexlip"]
    assert len(documents(engine)) == 3


def test_an_index_that_serves_searches_keeps_its_settings(engine: Engine, model: ModelFolder, folder: Path) -> None:
    indexed(engine, model, folder)
    engine.put_settings(f"{ALIAS}-000001", {"index": {"refresh_interval": "7s"}})
    with open_target(engine, ALIAS, model, "picture", 3) as target:
        during = engine.indices(target.index)[target.index]["settings"]["index"]
    after = engine.indices(ALIAS)[f"{ALIAS}-000001"]["settings"]["index"]
    assert during["refresh_interval"] == after["refresh_interval"] == "7s"


def test_ctrl_c_finishes_what_is_begun_and_leaves_a_searchable_index(engine: Engine, model: ModelFolder, folder: Path) -> None:
    run = Run.of(load_encoder(model), folder)
    run.progress = run.stop.set
    for number in range(100):
        Image.new("RGB", (9, 9), "red").save(folder / f"more{number:03}.png")
    report = index_source(engine, run, PictureFolder(folder), ALIAS)
    assert report.interrupted and report.exit_code == 130
    assert 0 < report.indexed < 100
    assert len(documents(engine)) == report.indexed


def test_another_model_is_refused_by_index_and_search_naming_both(
    engine: Engine, model: ModelFolder, folder: Path, tmp_path: Path
) -> None:
    indexed(engine, model, folder)
    other = make_model(tmp_path / "other", name="other", seed="1")
    for attempt in (lambda: indexed(engine, other, folder), lambda: searcher(engine, other)):
        with pytest.raises(ModelMismatchError) as refusal:
            attempt()
        assert model.identity[:12] in str(refusal.value)
        assert other.identity[:12] in str(refusal.value)


def test_another_number_of_terms_is_refused_by_index_and_never_by_search(
    engine: Engine, model: ModelFolder, folder: Path
) -> None:
    indexed(engine, model, folder)
    with pytest.raises(ModelMismatchError, match="3 terms"):
        index_source(engine, Run.of(load_encoder(model), folder, terms=2), PictureFolder(folder), ALIAS)
    assert searcher(engine, model).by_text("red").hits


def test_texts_do_not_go_into_an_index_of_pictures(engine: Engine, model: ModelFolder, folder: Path, tmp_path: Path) -> None:
    indexed(engine, model, folder)
    texts = tmp_path / "texts.txt"
    texts.write_text("red\n")
    with pytest.raises(LexlipError, match="holds pictures, not texts"):
        texts_indexed(engine, model, texts, ALIAS)


def test_an_index_that_is_not_ours_is_left_alone(engine: Engine, model: ModelFolder, folder: Path) -> None:
    engine.create_index("colour-theirs", {"mappings": {"properties": {"price": {"type": "float"}}}})
    with pytest.raises(LexlipError, match="not made by lexlip-es"):
        indexed(engine, model, folder, "colour-theirs")
    with pytest.raises(LexlipError, match="not made by lexlip-es"):
        searcher(engine, model, "colour-theirs")
    assert engine.count("colour-theirs") == 0


def test_an_index_of_a_later_schema_is_refused(engine: Engine, model: ModelFolder) -> None:
    engine.create_index("colour-later", index_body(index_meta(model, "picture", 3) | {"schema": 99}))
    with pytest.raises(LexlipError, match="schema 99"):
        searcher(engine, model, "colour-later")


def test_an_unknown_index_is_named(engine: Engine, model: ModelFolder) -> None:
    with pytest.raises(UnknownIndexError, match="colour-nowhere"):
        searcher(engine, model, "colour-nowhere")


def test_a_missing_or_empty_folder_is_refused_before_an_index_is_made(engine: Engine, model: ModelFolder, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "empty", tmp_path / "missing"):
        with pytest.raises(LexlipError, match=folder.name):
            indexed(engine, model, folder)
    assert engine.indices("colour-*") == {}


def test_an_empty_query_and_one_without_a_known_word_are_refused(engine: Engine, model: ModelFolder, folder: Path) -> None:
    indexed(engine, model, folder)
    for text, said in ((" \n", "empty"), ("of the and", '"of the and"')):
        with pytest.raises(UsageError, match=said):
            searcher(engine, model).by_text(text)


def test_an_exported_file_sent_by_a_bare_client_makes_the_same_index(
    engine: Engine, engine_url: str, model: ModelFolder, folder: Path, tmp_path: Path
) -> None:
    indexed(engine, model, folder)
    expected_documents, expected = documents(engine), engine.indices(ALIAS)[f"{ALIAS}-000001"]
    engine.delete_index(f"{ALIAS}-000001")
    out = tmp_path / "out.ndjson"
    report = export_source(Run.of(load_encoder(model), folder), PictureFolder(folder), out, ALIAS)
    assert (report.indexed, report.exit_code) == (3, 3)

    def send(method: str, path: str, body: bytes, kind: str) -> dict[str, object]:
        request = urllib.request.Request(f"{engine_url}{path}", body, {"Content-Type": kind}, method=method)
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)  # type: ignore[no-any-return]

    refused = send("POST", "/_bulk", out.read_bytes(), "application/x-ndjson")
    assert refused["errors"] is True  # without the index: refused, instead of an index of plain numbers
    send("PUT", f"/{ALIAS}-000001", (tmp_path / "out.index.json").read_bytes(), "application/json")
    assert send("POST", "/_bulk", out.read_bytes(), "application/x-ndjson")["errors"] is False
    made = engine.indices(ALIAS)[f"{ALIAS}-000001"]
    assert documents(engine) == expected_documents
    assert made["mappings"] == expected["mappings"]
    assert made["aliases"] == expected["aliases"]
    ours = ("number_of_shards", "auto_expand_replicas", "refresh_interval", "number_of_replicas")
    assert [made["settings"]["index"].get(key) for key in ours] == [expected["settings"]["index"].get(key) for key in ours]


def test_an_interrupted_export_leaves_the_file_of_before(model: ModelFolder, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.ndjson.gz"
    out.write_text("before")
    run = Run.of(load_encoder(model), folder)
    run.stop.set()
    report = export_source(run, PictureFolder(folder), out)
    assert report.exit_code == 130
    assert out.read_text() == "before"
    assert [path.name for path in tmp_path.iterdir() if "out" in path.name] == ["out.ndjson.gz"]


def test_the_same_folder_by_another_path_is_the_same_collection(
    engine: Engine, model: ModelFolder, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    indexed(engine, model, folder)
    before = documents(engine)
    monkeypatch.chdir(folder / "deep")
    indexed(engine, model, Path("../../photos"))
    assert documents(engine) == before


def test_writing_into_the_numbered_index_instead_of_its_alias_is_refused(
    engine: Engine, model: ModelFolder, folder: Path
) -> None:
    indexed(engine, model, folder)
    with pytest.raises(UsageError, match=f"write into --index {ALIAS}"):
        indexed(engine, model, folder, f"{ALIAS}-000001")
    assert searcher(engine, model, f"{ALIAS}-000001").by_text("red").hits  # reading from it does no harm


@pytest.mark.parametrize("name", ["colour-*", "colour-a,colour-b", "_all", "-colour", "Colour", "colour/_mapping", "c" * 249])
def test_what_may_stand_for_several_indices_is_no_name(engine: Engine, model: ModelFolder, folder: Path, name: str) -> None:
    for attempt in (lambda: searcher(engine, model, name), lambda: indexed(engine, model, folder, name)):
        with pytest.raises(UsageError, match="cannot be the name of an index"):
            attempt()
    assert engine.indices("colour-*") == {}


def test_a_document_that_the_engine_refuses_is_named_by_its_path(engine: Engine, model: ModelFolder, folder: Path) -> None:
    engine.create_index(f"{ALIAS}-000001", _without_width(model))
    report = indexed(engine, model, folder)
    assert report.exit_code == 1
    assert sorted(path for path, _ in report.failed) == ["blue.gif", "deep/green.jpg", "red.png"]
    assert "strict_dynamic_mapping_exception" in report.failed[0][1]


def _without_width(model: ModelFolder) -> dict[str, object]:
    body = index_body(index_meta(model, "picture", model.pruning.picture_terms))
    del body["mappings"]["properties"]["width"]
    return body


def test_captions_that_fit_no_picture_are_told(engine: Engine, model: ModelFolder, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "captions.csv").write_text("image,caption\n/elsewhere/red.png,a wall\n")
    report = indexed(engine, model, folder, captions=tmp_path / "captions.csv")
    assert "relative to the folder" in report.notes[0]


def test_a_subject_is_encoded_before_an_engine_is_needed(model: ModelFolder) -> None:
    with pytest.raises(UsageError, match='"of the"'):
        Subject.of(load_encoder(model), "of the")
