"""The examples do what they show: retrievers run on a real engine, compose files keep the promises of their README."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "False"  # before its first import; a test tells nobody that it ran

from lexlip_es import PictureIndex
from lexlip_es.engines import Engine
from tests.engine.test_picture_index import NAME, model, pictures
from tests.made_model import make_model, paint_colours
from tests.servers import MATRIX

__all__ = ["model", "pictures"]  # fixtures

EXAMPLES = Path(__file__).parents[2] / "examples"


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_langchain_retriever_finds_pictures(pictures: PictureIndex) -> None:
    retriever = example("langchain_retriever").PictureRetriever(pictures=pictures, k=2)
    (found,) = retriever.invoke("a red wall")
    assert found.page_content == "red.png: red"
    assert found.metadata["score"] == pictures.search("a red wall").hits[0].score
    retriever.filter = {"term": {"folder": "deep"}}
    assert retriever.invoke("a red wall") == []


@pytest.mark.usefixtures("pictures")
def test_a_haystack_pipeline_finds_pictures_and_is_saved_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    from haystack import Pipeline

    monkeypatch.setenv("LEXLIP_ES_API_KEY", "c2VjcmV0")
    pipeline = Pipeline()
    pipeline.add_component("pictures", example("haystack_retriever").PictureRetriever(NAME, top_k=2))
    (found,) = pipeline.run({"pictures": {"query": "a red wall"}})["pictures"]["documents"]
    assert (found.content, Path(found.meta["file_path"])) == ("red", Path("photos/red.png").absolute())
    narrowed = {"query": "a red wall", "filters": {"term": {"folder": "deep"}}}
    assert pipeline.run({"pictures": narrowed})["pictures"]["documents"] == []
    assert "c2VjcmV0" not in pipeline.dumps()


def test_ray_tasks_make_one_index_of_shards(engine: Engine, engine_url: str, tmp_path: Path) -> None:
    pytest.importorskip("ray.data", reason="ray is not installed: pip install 'ray[data]'")
    photos = tmp_path / "photos"
    photos.mkdir()
    paint_colours(photos)
    (photos / "broken.jpg").write_bytes(b"no picture")
    command = [sys.executable, str(EXAMPLES / "ray_index.py"), "--images", str(photos), "--index", "by-ray", "--shards", "2"]
    command += ["--model", str(make_model(tmp_path / "model").path), "--workers", "1"]
    environment = os.environ | {
        "LEXLIP_ES_URL": engine_url,
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    }
    try:
        done = subprocess.run(command, env=environment, cwd=EXAMPLES.parent, capture_output=True, text=True, timeout=400)
        assert done.returncode == 0, done.stderr[-2000:]
        assert "left out broken.jpg: " in done.stderr
        told = dict(line.split(": ") for line in done.stdout.splitlines() if line.startswith("shard "))
        assert sorted(told) == ["shard 1/2", "shard 2/2"]
        assert sum(int(said.split()[0]) for said in told.values()) == 3
        engine.refresh("by-ray")
        assert sorted(hit["source"]["path"] for hit in engine.scan("by-ray")) == ["blue.png", "green.png", "red.png"]
    finally:
        for index in engine.indices("by-ray*"):
            engine.delete_index(index)


@pytest.fixture(params=["elasticsearch-kibana", "opensearch-dashboards"])
def compose(request: pytest.FixtureRequest) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((EXAMPLES / "compose" / f"{request.param}.yml").read_text("utf-8"))
    return loaded


def test_compose_files_name_one_tested_version_of_each_image(compose: dict[str, Any]) -> None:
    images = [service["image"] for service in compose["services"].values()]
    (version,) = {image.rpartition(":")[2] for image in images}
    product = "opensearch" if any("opensearch" in image for image in images) else "elasticsearch"
    assert f"{product}-{version}" in MATRIX


def test_compose_files_limit_memory_and_are_reached_from_this_machine_alone(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        assert re.fullmatch(r"\d+[mg]", service["mem_limit"])
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
        assert "network_mode" not in service
        if service.get("restart"):  # it is to stay: it is watched, and what it keeps outlives it
            assert service["healthcheck"]["test"]
            assert any(volume.endswith("/data") for volume in service["volumes"])


def test_compose_files_know_no_password_and_start_without_none(compose: dict[str, Any]) -> None:
    offered = re.findall(r"^(\w+)=(.*)$", (EXAMPLES / "compose" / "env.example").read_text("utf-8"), re.MULTILINE)
    assert all(value == "" for _, value in offered)
    asked = set()
    for service in compose["services"].values():
        for name, value in service.get("environment", {}).items():
            if "PASSWORD" in name:
                found = re.fullmatch(r"\$\{(\w+):\?.+\}", value)  # Compose stops where it is unset or empty
                assert found, (name, value)
                asked.add(found[1])
    assert len(asked) == 2
    assert asked <= {name for name, _ in offered}


def test_compose_files_keep_security_on() -> None:
    folder = EXAMPLES / "compose"
    elastic = yaml.safe_load((folder / "elasticsearch-kibana.yml").read_text("utf-8"))["services"]["elasticsearch"]["environment"]
    for switch in ("", ".http.ssl", ".transport.ssl"):
        assert elastic[f"xpack.security{switch}.enabled"] == "true"
    services = yaml.safe_load((folder / "opensearch-dashboards.yml").read_text("utf-8"))["services"]
    assert services["opensearch"]["environment"]["DISABLE_INSTALL_DEMO_CONFIG"] == "true"  # its keys and passwords are public
    assert services["dashboards"]["environment"]["OPENSEARCH_SSL_VERIFICATIONMODE"] == "full"
    settings = yaml.safe_load((folder / "opensearch.yml").read_text("utf-8"))
    assert settings["plugins.security.ssl.http.enabled"] is True
    assert "plugins.security.disabled" not in settings
