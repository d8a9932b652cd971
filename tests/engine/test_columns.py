"""Declared columns of a table: typed in the mapping, filtered by, kept by later runs, by a rebuild and by an export."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lexlip_es.dialects import FieldType
from lexlip_es.encoders import load_encoder
from lexlip_es.engines import ConnectionSettings, Engine, connect
from lexlip_es.errors import LexlipError
from lexlip_es.exporting import export_source
from lexlip_es.indexing import compare_source, index_source
from lexlip_es.loading import Run
from lexlip_es.meta_columns import columns_of
from lexlip_es.model_folder import ModelFolder
from lexlip_es.picture_index import PictureIndex
from lexlip_es.rebuilding import rebuild_index
from lexlip_es.report import Report
from lexlip_es.sources.folder import PictureFolder
from lexlip_es.sources.table import PictureTable
from tests.engine.test_incremental import Counting
from tests.made_model import make_model
from tests.servers.server import Server

ALIAS, SHOP = "shop", "the shop"
PRICED = ("price:double", "brand:keyword")
ROWS = {"0.png": ("1.5", "acme"), "1.png": ("20", "acme"), "2.png": ("", "other")}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    return make_model(tmp_path_factory.mktemp("model") / "hues")


@dataclass
class Shop:
    """A table of three pictures, and an index of them."""

    engine: Engine
    encoder: Counting
    table: Path

    def write(self, rows: dict[str, tuple[str, str]]) -> None:
        lines = [f"{name},{price},{brand},{name} for sale" for name, (price, brand) in rows.items()]
        self.table.write_text("\n".join(["image,price,brand,caption", *lines]) + "\n")

    def run(self, collection: str = SHOP) -> Run:
        return replace(Run.of(self.encoder, self.table, collection=collection), workers=0)  # type: ignore[arg-type]

    def index(self, *meta: str, **options: Any) -> Report:
        self.encoder.pictures = 0
        return index_source(self.engine, self.run(), PictureTable(self.table, meta=meta), ALIAS, **options)

    def rebuild(self, *meta: str, **options: Any) -> Report:
        sources = [(SHOP, PictureTable(self.table, meta=meta))]
        return rebuild_index(self.engine, self.run(), sources, ALIAS, beat_seconds=0.1, **options)

    def meta(self) -> dict[str, Any]:
        self.engine.refresh(ALIAS)
        return {hit["source"]["path"]: hit["source"].get("meta") for hit in self.engine.scan(ALIAS)}

    def mappings(self) -> dict[str, Any]:
        found: dict[str, Any] = next(iter(self.engine.indices(ALIAS).values()))["mappings"]
        return found

    def columns(self) -> dict[str, str]:
        """By the mapping, which says the same in both places."""
        found = columns_of(self.mappings())
        assert self.mappings()["_meta"]["lexlip"].get("columns", {}) == found
        return found


def a_shop(engine: Engine, model: ModelFolder, folder: Path) -> Shop:
    for i, name in enumerate(ROWS):
        Image.new("RGB", (8, 8), (80 * i, 255 - 80 * i, 9)).save(folder / name)
    shop = Shop(engine, Counting(load_encoder(model)), folder / "shop.csv")
    shop.write(ROWS)
    return shop


def close(engine: Engine) -> None:
    for index in engine.indices(f"{ALIAS}*"):
        engine.delete_index(index)


@pytest.fixture
def shop(engine: Engine, model: ModelFolder, tmp_path: Path) -> Iterator[Shop]:
    yield a_shop(engine, model, tmp_path)
    close(engine)


def test_a_search_is_filtered_by_a_column(engine_url: str, shop: Shop, model: ModelFolder) -> None:
    with PictureIndex(ConnectionSettings(urls=(engine_url,)), name=ALIAS, model=model.path) as index:
        report = index.index(shop.table, meta=PRICED, collection=SHOP)
        assert (report.added, report.failed, report.skipped) == (3, [], [])
        dear = index.search("red and green", filter={"range": {"meta.price": {"gte": 10}}})
        assert [hit.path for hit in dear.hits] == ["1.png"]
        assert index.count({"term": {"meta.brand": "acme"}}) == 2
    assert shop.columns() == {"price": "double", "brand": "keyword"}
    assert shop.meta() == {
        "0.png": {"price": 1.5, "brand": "acme"},
        "1.png": {"price": 20.0, "brand": "acme"},
        "2.png": {"brand": "other"},
    }


def test_every_type_of_every_server_is_the_engine_s_own(server: Server, model: ModelFolder, tmp_path: Path) -> None:
    engine = connect(ConnectionSettings(urls=(server.url,)))
    modern = engine.server.product == "elasticsearch" and engine.server.version > (8,)
    fields: FieldType = "sparse_vector" if modern else "rank_features"
    shop = a_shop(engine, model, tmp_path)
    row = {"image": "0.png", "k": "Red Car", "t": "A red car", "n": 7, "x": 1.5, "d": "2026-01", "b": "yes"}
    shop.table = tmp_path / "shop.jsonl"
    shop.table.write_text(json.dumps(row))
    types = {"k": "keyword", "t": "text", "n": "long", "x": "double", "d": "date", "b": "boolean"}
    try:
        first, *others = [f"{name}:{kind}" for name, kind in types.items()]
        assert shop.index(first, field_type=fields).failed == []
        report = shop.index(first, *others)  # the index serves already
        assert (report.changed, report.failed, shop.encoder.pictures, shop.columns()) == (1, [], 0, types)
        for clause in (
            {"term": {"meta.k": "Red Car"}},
            {"match": {"meta.t": "cars car"}},
            {"range": {"meta.n": {"gte": 7}}},
            {"range": {"meta.x": {"lt": 2}}},
            {"range": {"meta.d": {"gte": "2026-01-01", "lt": "2026-02-01"}}},
            {"term": {"meta.b": True}},
        ):
            assert engine.count(ALIAS, clause) == 1, clause
        assert shop.mappings()["properties"]["meta"]["dynamic"] == "strict"
    finally:
        close(engine)
        engine.close()


def test_a_second_run_writes_nothing_and_a_changed_value_is_one_document_without_encoding(shop: Shop) -> None:
    shop.index(*PRICED)
    assert (shop.index(*PRICED).unchanged, shop.encoder.pictures) == (3, 0)
    shop.write({**ROWS, "1.png": ("30", "acme")})
    report = shop.index(*PRICED)
    assert (report.changed, report.unchanged, shop.encoder.pictures) == (1, 2, 0)
    assert shop.meta()["1.png"] == {"price": 30.0, "brand": "acme"}


def test_what_a_run_does_not_declare_stays_as_it_is(shop: Shop) -> None:
    shop.index(*PRICED)
    before = shop.meta()
    assert shop.index().unchanged == 3
    Image.new("RGB", (9, 9), (9, 200, 9)).save(shop.table.parent / "0.png")  # other content
    (shop.table.parent / "1.png").write_bytes((shop.table.parent / "2.png").read_bytes())  # known content, of another's
    shop.write({**ROWS, "1.png": ("30", "new"), "2.png": ("", "new")})
    report = shop.index("brand:keyword")
    assert (report.changed, shop.encoder.pictures) == (3, 1)
    assert shop.meta() == {**before, "1.png": {"price": 20.0, "brand": "new"}, "2.png": {"brand": "new"}}
    assert shop.columns() == {"price": "double", "brand": "keyword"}


def test_an_index_that_serves_gets_new_columns_and_keeps_its_settings(shop: Shop) -> None:
    shop.index()
    settings = next(iter(shop.engine.indices(ALIAS).values()))["settings"]
    shop.index("brand:keyword")
    assert shop.index("price:double").changed == 2
    assert shop.columns() == {"brand": "keyword", "price": "double"}
    assert shop.meta()["0.png"] == {"price": 1.5, "brand": "acme"}
    assert next(iter(shop.engine.indices(ALIAS).values()))["settings"] == settings


def test_another_type_is_refused_before_anything_is_written(shop: Shop) -> None:
    shop.index(*PRICED)
    said = r"index shop-000001 has the column price as double, not keyword: declare it with --meta price:double, or .* rebuild"
    with pytest.raises(LexlipError, match=said):
        shop.index("price:keyword")
    with pytest.raises(LexlipError, match=said):
        compare_source(shop.engine, shop.run(), PictureTable(shop.table, meta=["price:keyword"]), ALIAS)
    assert shop.columns() == {"price": "double", "brand": "keyword"}


def test_a_dry_run_declares_nothing(shop: Shop) -> None:
    shop.index()
    report = compare_source(shop.engine, shop.run(), PictureTable(shop.table, meta=PRICED), ALIAS)
    assert (report.changed, report.indexed, shop.columns()) == (3, 0, {})


def test_a_rebuild_keeps_the_columns_or_refuses_to_lose_them(shop: Shop) -> None:
    shop.index(*PRICED)
    before = shop.meta()
    with pytest.raises(
        LexlipError, match=r"2 pictures of the collection the shop have a price, .* declare it with --meta price:double"
    ):
        shop.rebuild("brand:keyword")
    shop.rebuild(*PRICED)
    assert (shop.meta(), shop.columns()) == (before, {"price": "double", "brand": "keyword"})
    shop.rebuild("price:keyword", "brand:keyword")  # the way to another type
    assert (shop.meta()["0.png"]["price"], shop.columns()["price"]) == ("1.5", "keyword")
    shop.rebuild(even_if_smaller=True)
    assert (shop.meta(), shop.columns()) == (dict.fromkeys(ROWS), {})


def test_a_rebuild_copies_the_columns_of_other_collections(shop: Shop, tmp_path: Path) -> None:
    shop.index(*PRICED)
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (8, 8), (3, 3, 200)).save(tmp_path / "photos" / "blue.png")
    photos = PictureFolder(tmp_path / "photos")
    index_source(shop.engine, shop.run("photos"), photos, ALIAS)
    before = shop.meta()
    rebuild_index(shop.engine, shop.run(), [("photos", photos)], ALIAS, beat_seconds=0.1)
    assert (shop.meta(), shop.columns()) == (before, {"price": "double", "brand": "keyword"})
    with pytest.raises(LexlipError, match="has the column price as double, not keyword"):
        shop.rebuild("price:keyword", "brand:keyword")


def test_an_export_brings_its_columns(shop: Shop, tmp_path: Path) -> None:
    out = tmp_path / "shop.ndjson"
    export_source(shop.run(), PictureTable(shop.table, meta=PRICED), out, ALIAS)
    body = json.loads((tmp_path / "shop.index.json").read_text())
    shop.engine.create_index(f"{ALIAS}-000001", body)
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    documents = [
        {"_id": action["index"]["_id"], "source": source} for action, source in zip(lines[::2], lines[1::2], strict=True)
    ]
    assert all(result.ok for result in shop.engine.bulk(f"{ALIAS}-000001", documents))
    assert shop.columns() == {"price": "double", "brand": "keyword"}
    assert shop.index(*PRICED).unchanged == 3
