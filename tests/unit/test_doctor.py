"""What the doctor says of facts, without a server: each fault is named with its remedy, and what is well is not complained of."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from lexlip_es.doctor.disks import disk_lines, free_bytes
from lexlip_es.doctor.facts import Facts
from lexlip_es.doctor.judgement import judge
from lexlip_es.doctor.lines import Line
from lexlip_es.doctor.proofs import parity_lines
from lexlip_es.engines import ServerInfo
from lexlip_es.engines.errors import ForbiddenError
from lexlip_es.errors import LexlipError
from lexlip_es.mappings import index_body, index_meta
from lexlip_es.model_folder import ModelFolder, starter_path
from lexlip_es.parity import FormParity

GIB = 2**30
OPENSEARCH = ServerInfo("opensearch", (3, 9, 0), "3.9.0")
ELASTICSEARCH = ServerInfo("elasticsearch", (9, 5, 3), "9.5.3")
RIGHTS = {"create": True, "search": True, "write": True, "alias": True}


@pytest.fixture(scope="module")
def model() -> ModelFolder:
    return ModelFolder.open(starter_path())


def index(model: ModelFolder, /, *, settings: Mapping[str, Any] | None = None, alias: bool = True, **meta: Any) -> dict[str, Any]:
    """An index of ours as a server describes it."""
    usual = {"auto_expand_replicas": "0-1", "number_of_replicas": "0"}
    body = index_body(index_meta(model, "picture", 64) | meta)
    return {
        "aliases": {"pictures": {}} if alias else {},
        "mappings": body["mappings"],
        "settings": {"index": usual | dict(settings or {})},
    }


@pytest.fixture
def well(model: ModelFolder) -> Facts:
    """A server, an index and a model that fit."""
    return Facts(
        server=OPENSEARCH,
        address="http://x:9200",
        name="pictures",
        model=model,
        serving={"pictures-000001": index(model)},
        parts={"nodes": {"a": {"modules": [{"name": "mapper-extras"}]}}},
        health={"status": "green"},
        cluster={"status": "green", "number_of_data_nodes": 1},
        settings={"indices.query.bool.max_clause_count": "1024"},
        disks=disk(50),
        may=RIGHTS,
    )


def disk(free: float, size: float = 100, node: str = "one") -> dict[str, Any]:
    total = {"total_in_bytes": int(size * GIB), "available_in_bytes": int(free * GIB)}
    return {"nodes": {node: {"name": node, "fs": {"total": total}}}}


def faults(facts: Facts) -> list[Line]:
    return [line for line in judge(facts) if line.state != "ok"]


def fault(facts: Facts) -> tuple[str, str, str]:
    (line,) = faults(facts)
    assert line.said.endswith(".") and "\n" not in line.said and ": " in line.said
    return line.subject, line.state, line.said


def test_what_is_well_is_said_line_by_line_without_a_complaint(well: Facts) -> None:
    lines = list(judge(well))
    assert {line.state for line in lines} == {"ok"}
    subjects = ["server", "features", "permissions", "index", "health", "blocks", "settings", "mapping", "model", "vocabulary"]
    assert [line.subject for line in lines] == [*subjects, "clauses", "disk"]
    assert lines[0].said == "OpenSearch 3.9.0 answers at http://x:9200."
    assert "rank_feature" in lines[1].said and "neural_sparse" not in lines[1].said


@pytest.mark.parametrize(
    ("settings", "subject", "state", "said"),
    [
        ({"refresh_interval": "-1"}, "settings", "warning", "never refreshes"),
        ({"refresh_interval": "-1s"}, "settings", "warning", "never refreshes"),
        (
            {"blocks": {"read_only_allow_delete": "true"}},
            "blocks",
            "failure",
            "free disk space, then PUT /pictures-000001/_settings",
        ),
        ({"blocks": {"write": "true"}}, "blocks", "warning", '{"index.blocks.write": null}'),
        ({"blocks": {"read": "true"}}, "blocks", "failure", "nobody can search it"),
        ({"verified_before_close": "true"}, "index", "failure", "POST /pictures-000001/_open"),
    ],
)
def test_a_setting_that_a_crash_or_a_full_disk_left_is_named(
    well: Facts, model: ModelFolder, settings: dict[str, Any], subject: str, state: str, said: str
) -> None:
    found = fault(replace(well, serving={"pictures-000001": index(model, settings=settings)}))
    assert found[:2] == (subject, state) and said in found[2]


def test_no_copies_are_a_fault_only_where_there_are_nodes_for_them(well: Facts, model: ModelFolder) -> None:
    alone = replace(well, serving={"pictures-000001": index(model, settings={"auto_expand_replicas": "false"})})
    assert faults(alone) == []
    assert "no copy on any of 3 nodes" in fault(replace(alone, cluster={"status": "green", "number_of_data_nodes": 3}))[2]


def test_what_crashed_runs_left_is_named_with_the_run_that_ends_it(well: Facts, model: ModelFolder) -> None:
    loading = {"pictures-000001": index(model, alias=False, load={"refresh_interval": None})}
    lines = faults(replace(well, serving={}, beside=loading, health=None))
    assert [line.subject for line in lines] == ["index", "crash"]
    assert "the next `lexlip-es index --index pictures` ends it and restores both" in lines[1].said
    rebuilding = {"pictures-000002": index(model, alias=False, load={}, rebuild={})}
    assert "lexlip-es rebuild" in fault(replace(well, beside=rebuilding))[2]
    assert "DELETE /pictures_parity_ab" in fault(replace(well, left={"pictures_parity_ab": {}}))[2]
    foreign = {"pictures-old": {"aliases": {}, "mappings": {}, "settings": {}}}
    assert faults(replace(well, beside=foreign)) == []


def test_health_is_the_index_s_own(well: Facts) -> None:
    assert fault(replace(well, health={"status": "red"}))[:2] == ("health", "failure")
    assert fault(replace(well, health={"status": "yellow"}))[:2] == ("health", "warning")
    assert fault(replace(well, cluster={"status": "red"}))[:2] == ("cluster", "warning")


def test_an_index_that_is_missing_is_no_failure_but_several_and_foreign_ones_are(well: Facts, model: ModelFolder) -> None:
    assert fault(replace(well, serving={}, health=None))[:2] == ("index", "warning")
    two = {"pictures-000001": index(model), "pictures-000002": index(model)}
    assert fault(replace(well, serving=two, health=None))[:2] == ("index", "failure")
    foreign = index(model) | {"mappings": {"properties": {}}}
    assert "not made by lexlip-es" in fault(replace(well, serving={"pictures": foreign}))[2]


def test_a_mapping_that_is_not_the_template_s_is_named_by_its_fields(well: Facts, model: ModelFolder) -> None:
    def with_field(name: str, field: dict[str, Any] | None) -> Facts:
        body = index(model)
        properties = {**body["mappings"]["properties"], name: field}
        kept = {key: value for key, value in properties.items() if value is not None}
        return replace(well, serving={"pictures-000001": body | {"mappings": body["mappings"] | {"properties": kept}}})

    assert fault(with_field("terms", {"properties": {"dog": {"type": "float"}}}))[:2] == ("mapping", "failure")
    assert fault(with_field("camera", {"type": "text"}))[:2] == ("mapping", "warning")
    assert "camera" in fault(with_field("camera", None))[2]
    assert faults(with_field("mine", {"type": "text"})) == []


def test_a_sparse_vector_that_is_pruned_is_a_failure(well: Facts, model: ModelFolder) -> None:
    meta = index_meta(model, "picture", 64, "sparse_vector")
    body = index(model) | {"mappings": index_body(meta, family="elasticsearch-sparse-vector")["mappings"]}
    facts = replace(well, server=ELASTICSEARCH, serving={"pictures-000001": body})
    assert faults(facts) == []
    del body["mappings"]["properties"]["terms"]["index_options"]
    assert "prunes" in fault(facts)[2]


def test_another_model_and_an_unreadable_one_are_failures(well: Facts, model: ModelFolder) -> None:
    other = {"name": "other", "identity": "0" * 64}
    assert "made with model other" in fault(replace(well, serving={"pictures-000001": index(model, model=other)}))[2]
    found = fault(replace(well, serving={"pictures-000001": index(model, vocabulary_hash="0")}))
    assert found[:2] == ("vocabulary", "failure")
    assert fault(replace(well, model=LexlipError("there is no model: get one.")))[:2] == ("model", "failure")


def test_rights_that_searching_does_not_need_are_a_warning(well: Facts) -> None:
    found = fault(replace(well, may={"create": False, "search": True, "write": False, "alias": False}))
    assert found[:2] == ("permissions", "warning") and "grant read, write and manage on pictures*" in found[2]
    assert fault(replace(well, may=RIGHTS | {"search": False}))[1] == "failure"
    hidden = faults(replace(well, serving={}, health=None, may={"search": False, "create": False}))
    assert [(line.subject, line.state) for line in hidden] == [("permissions", "failure"), ("index", "warning")]


def test_a_user_who_may_not_look_gets_warnings_and_no_failure(well: Facts) -> None:
    no = ForbiddenError("this user may not do that on http://x (no): have the right granted, or ask as another user.")
    lines = faults(replace(well, parts=no, health=no, cluster=no, settings=no, disks=no))
    assert {line.state for line in lines} == {"warning"}
    assert [line.subject for line in lines] == ["features", "health", "clauses", "disk"]


def test_features_come_from_version_and_modules(well: Facts) -> None:
    bare = replace(well, parts={"nodes": {"a": {"modules": [{"name": "reindex"}]}}})
    assert fault(bare)[:2] == ("features", "failure")
    neural = {"nodes": {"a": {"modules": [{"name": "mapper-extras"}], "plugins": [{"name": "opensearch-neural-search"}]}}}
    assert "neural_sparse" in next(line for line in judge(replace(well, parts=neural)) if line.subject == "features").said
    zipped = replace(bare, server=ELASTICSEARCH, serving={}, health=None)
    assert "--field-type sparse_vector" in faults(zipped)[0].said
    assert fault(replace(well, server=ServerInfo("opensearch", (1, 3, 0), "1.3.0")))[0] == "server"


def test_a_clause_limit_below_a_query_s_length_is_a_warning(well: Facts) -> None:
    assert fault(replace(well, settings={"indices.query.bool.max_clause_count": "20"}))[0] == "clauses"


@pytest.mark.parametrize(
    ("free", "state", "said"),
    [(50, "ok", "below every"), (14, "warning", "low"), (9, "warning", "high"), (4, "failure", "flood-stage")],
)
def test_disks_are_judged_by_the_usual_watermarks(free: float, state: str, said: str) -> None:
    (line,) = disk_lines({}, disk(free))
    assert line.state == state and said in line.said


@pytest.mark.parametrize(
    ("settings", "gib"),
    [
        ({}, 5),
        ({"watermark.flood_stage": "0.99"}, 1),
        ({"watermark.flood_stage": "97.5%"}, 2.5),
        ({"watermark.flood_stage": "2gb"}, 2),
        ({"watermark.flood_stage": "512mb"}, 0.5),
        ({"watermark.flood_stage": "95%", "watermark.flood_stage.max_headroom": "3GB"}, 3),
        ({"watermark.flood_stage": "95%", "watermark.flood_stage.max_headroom": "-1"}, 5),
        ({"watermark.flood_stage": "nonsense"}, 5),
    ],
)
def test_a_watermark_is_a_share_a_cap_or_a_size(settings: dict[str, str], gib: float) -> None:
    flat = {f"cluster.routing.allocation.disk.{name}": value for name, value in settings.items()}
    assert free_bytes(flat, "flood_stage", 100 * GIB) == pytest.approx(gib * GIB)


def test_disks_that_nobody_watches_are_not_judged() -> None:
    (line,) = disk_lines({"cluster.routing.allocation.disk.threshold_enabled": "false"}, disk(1))
    assert line.state == "ok"
    assert [line.state for line in disk_lines({}, {})] == ["warning"]


def test_a_form_that_differs_fails_and_one_that_is_absent_does_not() -> None:
    good = FormParity("rank_features", "rank_feature", compared=900)
    absent = FormParity("sparse_vector", "term", absent="there is no such field.")
    assert [line.state for line in parity_lines([good, absent])] == ["ok", "ok"]
    assert "900 scores compared" in parity_lines([good])[0].said
    assert parity_lines([replace(good, wrong=1)])[0].state == "failure"
    assert parity_lines([absent])[-1].state == "failure"
