import json
from pathlib import Path
from typing import Any, get_args

import pytest
from typer.testing import CliRunner

from lexlip_es.cli import app
from lexlip_es.dialects import Family, field_type_of
from lexlip_es.engines.protocol import ServerInfo
from lexlip_es.errors import LexlipError, ModelMismatchError, UsageError
from lexlip_es.mappings import SCHEMA, IndexMeta, index_body, index_meta, model_template
from lexlip_es.model_folder import ModelFolder, starter_path

FIXTURES = Path(__file__).parent / "fixtures"
FAMILIES: tuple[Family, ...] = get_args(Family)


def elasticsearch(*version: int) -> ServerInfo:
    return ServerInfo("elasticsearch", version, ".".join(map(str, version)))


def meta_of(meta: dict[str, Any]) -> IndexMeta:
    return IndexMeta.of("pictures-000001", {"_meta": {"lexlip": meta}})


@pytest.fixture(scope="module")
def model() -> ModelFolder:
    return ModelFolder.open(starter_path())


@pytest.mark.parametrize("schema", range(1, SCHEMA + 1))
def test_every_released_schema_is_read(schema: int) -> None:
    meta = meta_of(json.loads((FIXTURES / f"meta-schema-{schema}.json").read_text()))
    assert (meta.kind, meta.field_type, meta.meta["pruning"]["terms"]) == ("picture", "rank_features", 64)
    assert meta.meta["model"]["identity"].startswith("f16fc18e")


def test_the_newest_fixture_is_what_is_written_today(model: ModelFolder) -> None:
    fixture = json.loads((FIXTURES / f"meta-schema-{SCHEMA}.json").read_text())
    assert index_meta(model, "picture", 64).keys() == fixture.keys()


def test_a_later_schema_and_a_foreign_index_are_refused() -> None:
    with pytest.raises(LexlipError, match=f"schema {SCHEMA + 1}, this version reads {SCHEMA}"):
        meta_of({"schema": SCHEMA + 1})
    for mappings in ({}, {"_meta": {}}, {"_meta": {"lexlip": "x"}}):
        with pytest.raises(LexlipError, match="not made by lexlip-es and is left alone"):
            IndexMeta.of("pictures", mappings)


def test_an_older_schema_is_refused_with_the_command_that_makes_it_anew() -> None:
    for older in ({"schema": 0}, {}):
        with pytest.raises(LexlipError, match="make its documents anew with lexlip-es rebuild"):
            meta_of(older)
        assert IndexMeta.of_any_schema("pictures-000001", {"_meta": {"lexlip": older}}).is_older
    for unreadable in ({"schema": SCHEMA + 1}, {"schema": "new"}):
        with pytest.raises(LexlipError, match=f"this version reads {SCHEMA}"):
            IndexMeta.of_any_schema("pictures-000001", {"_meta": {"lexlip": unreadable}})


def test_an_older_schema_is_searched_and_not_written_to(model: ModelFolder) -> None:
    older = meta_of(index_meta(model, "picture", 64) | {"schema": 1})
    older.require_model(model)
    with pytest.raises(
        LexlipError, match="has lexlip schema 1, this version writes 3: make its documents anew with lexlip-es rebuild"
    ):
        older.require_same_documents(model, "picture", 64)


def test_another_model_is_refused_by_both_names(model: ModelFolder) -> None:
    other = index_meta(model, "picture", 64) | {"model": {"name": "larger", "identity": "ab" * 32}}
    with pytest.raises(ModelMismatchError, match=rf"larger \(abababababab\), not with {model.name} .* lexlip-es rebuild"):
        meta_of(other).require_model(model)


def test_another_field_is_refused_and_no_wish_is_none(model: ModelFolder) -> None:
    meta = meta_of(index_meta(model, "picture", 64, "sparse_vector"))
    meta.require_field_type(None)
    meta.require_field_type("sparse_vector")
    with pytest.raises(LexlipError, match="has a sparse_vector field, not rank_features"):
        meta.require_field_type("rank_features")


@pytest.mark.parametrize("family", FAMILIES)
def test_families_differ_in_their_terms_alone(family: Family) -> None:
    body, usual = index_body({}, family=family), index_body({})
    assert body["mappings"]["properties"].pop("terms")["type"] == field_type_of(family)
    usual["mappings"]["properties"].pop("terms")
    body["settings"]["index"].pop("mapping.exclude_source_vectors", None)
    assert body == usual


@pytest.mark.parametrize(
    ("version", "pruning", "hiding"),
    [
        ((8, 15, 0), False, False),
        ((8, 19, 21), True, False),
        ((9, 0, 0), False, False),
        ((9, 1, 0), True, False),
        ((9, 5, 3), True, True),
    ],
)
def test_what_an_older_server_does_not_know_is_left_out(version: tuple[int, ...], pruning: bool, hiding: bool) -> None:
    body = index_body({}, family="elasticsearch-sparse-vector", server=elasticsearch(*version))
    expected = {"type": "sparse_vector"} | ({"index_options": {"prune": False}} if pruning else {})
    assert body["mappings"]["properties"]["terms"] == expected
    assert body["settings"]["index"].get("mapping.exclude_source_vectors") == (False if hiding else None)


def test_a_template_makes_the_index_that_lexlip_es_makes(model: ModelFolder) -> None:
    template = model_template(model, "photos", terms=32)
    assert template.name == "lexlip-photos"
    assert template.body["index_patterns"] == ["photos-0*"]
    assert template.body["template"] == index_body(index_meta(model, "picture", 32))


def test_a_template_is_of_the_family_that_is_asked_for_or_the_server_s(model: ModelFolder) -> None:
    def meta(**wishes: Any) -> dict[str, Any]:
        found: dict[str, Any] = model_template(model, "photos", **wishes).body["template"]["mappings"]
        assert found["_meta"]["lexlip"]["field_type"] == found["properties"]["terms"]["type"]
        return found["properties"]["terms"]

    assert meta()["type"] == meta(server=elasticsearch(9, 5, 3))["type"] == "rank_features"
    assert meta(family="elasticsearch-sparse-vector") == {"type": "sparse_vector", "index_options": {"prune": False}}
    assert meta(family="elasticsearch-sparse-vector", server=elasticsearch(9, 0, 0)) == {"type": "sparse_vector"}
    with pytest.raises(UsageError, match="leave out --field-type"):
        model_template(model, "photos", family="elasticsearch-sparse-vector", server=elasticsearch(7, 17, 29))


def test_the_command_prints_the_template_without_a_server(model: ModelFolder) -> None:
    answer = CliRunner().invoke(app, ["mapping", "--index", "photos", "--family", "elasticsearch-sparse-vector", "--terms", "32"])
    expected = model_template(model, "photos", family="elasticsearch-sparse-vector", terms=32).body
    assert (answer.exit_code, json.loads(answer.stdout)) == (0, expected)


@pytest.mark.parametrize("family", FAMILIES)
def test_declared_columns_are_fields_of_a_strict_object(family: Family, model: ModelFolder) -> None:
    meta = index_meta(model, "picture", 64, field_type_of(family), columns={"price": "double", "about": "text"})
    field = index_body(meta, family=family)["mappings"]["properties"]["meta"]
    assert field["properties"] == {"price": {"type": "double"}, "about": {"type": "text", "analyzer": "standard"}}
    assert field["dynamic"] == "strict"
    assert index_body(index_meta(model, "picture", 64), family=family)["mappings"]["properties"]["meta"] == {
        "type": "object",
        "dynamic": "strict",
    }
