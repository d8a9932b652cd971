"""The doctor on real servers: a sound index is sound, faults made for real are named, nothing is changed, scores are proven."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lexlip_es import parity
from lexlip_es.doctor import Examination, examine
from lexlip_es.encoders import load_encoder
from lexlip_es.engines import ConnectionSettings, Engine, connect, embedded
from lexlip_es.errors import LexlipError
from lexlip_es.indexing import index_source
from lexlip_es.loading import Run
from lexlip_es.mappings import index_meta
from lexlip_es.model_folder import ModelFolder
from lexlip_es.parity import check_parity
from lexlip_es.sources.folder import PictureFolder
from lexlip_es.target import create_for_load
from tests.engine.house import in_process
from tests.engine.wire import Relay, serving
from tests.made_model import make_model, paint_colours
from tests.servers import MATRIX, Server, on_servers

ALIAS, INDEX = "doctored", "doctored-000001"
Look = Callable[..., Examination]
Build = Callable[[], None]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    return make_model(tmp_path_factory.mktemp("doctor") / "colours")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return paint_colours(tmp_path_factory.mktemp("photos"))


@pytest.fixture
def build(engine: Engine, model: ModelFolder, pictures: Path) -> Iterator[Build]:
    """Indexes three pictures when called; the indices of this module are gone afterwards."""

    def index() -> None:
        run = in_process(Run.of(load_encoder(model), pictures))
        index_source(engine, run, PictureFolder(pictures), ALIAS)

    yield index
    for name in engine.request("GET", f"/{ALIAS}*", params={"expand_wildcards": "all"}):
        engine.delete_index(name)


@pytest.fixture
def look(engine_url: str, model: ModelFolder) -> Look:
    return lambda name=ALIAS, **options: examine(ConnectionSettings(urls=(engine_url,)), name, model.path, **options)


def states(found: Examination) -> dict[str, str]:
    """Subject -> the worst state said of it; the disk is the machine's own matter."""
    order = ("ok", "warning", "failure")
    worst: dict[str, str] = {}
    for line in found.lines:
        if line.subject != "disk":
            worst[line.subject] = max(worst.get(line.subject, "ok"), line.state, key=order.index)
    return worst


def faults(found: Examination) -> dict[str, str]:
    return {subject: state for subject, state in states(found).items() if state != "ok"}


def snapshot(engine: Engine) -> Any:
    """Everything that the doctor could have changed: indices with mappings and settings, and the number of writes to each."""
    indices = engine.indices("*")
    stats = engine.request("GET", "/_stats/indexing", params={"filter_path": "indices.*.total.indexing.*_total"})
    return indices, stats, engine.request("GET", "/_cluster/settings", params={"flat_settings": "true"})


def test_a_sound_index_is_sound_and_looking_changes_nothing(engine: Engine, build: Build, look: Look) -> None:
    build()
    before = snapshot(engine)
    found = look()
    assert snapshot(engine) == before
    assert faults(found) == {}
    assert {"server", "features", "permissions", "index", "health", "mapping", "model", "vocabulary"} <= set(states(found))


def test_nothing_indexed_yet_is_a_warning_and_leaves_nothing(engine: Engine, look: Look) -> None:
    assert faults(look()) == {"index": "warning"}
    assert engine.indices(f"{ALIAS}*") == {}


def test_faults_made_for_real_are_named(engine: Engine, build: Build, look: Look) -> None:
    build()
    for settings, subject, state in (
        ({"refresh_interval": "-1"}, "settings", "warning"),
        ({"blocks.write": True}, "blocks", "warning"),
        ({"blocks.read_only_allow_delete": True}, "blocks", "failure"),
        ({"auto_expand_replicas": False, "number_of_replicas": 1}, "health", "warning"),
    ):
        engine.put_settings(INDEX, {"index": settings})
        assert faults(look()) == {subject: state}, settings
        # nothing but the block itself can be changed while a disk's block is on
        undo = {"auto_expand_replicas": "0-1"} if "number_of_replicas" in settings else dict.fromkeys(settings)
        engine.put_settings(INDEX, {"index": undo})
        engine.request("GET", f"/_cluster/health/{INDEX}", params={"wait_for_status": "green"})
    assert faults(look()) == {}
    engine.request("POST", f"/{INDEX}/_close")
    assert faults(look())["index"] == "failure"


def test_what_a_crashed_load_left_is_restored_by_the_run_that_the_doctor_names(
    engine: Engine, build: Build, look: Look, model: ModelFolder
) -> None:
    create_for_load(engine, INDEX, index_meta(model, "picture", 3))
    assert faults(look()) == {"index": "warning", "crash": "warning"}
    build()
    assert faults(look()) == {}


def test_parity_compares_every_form_and_leaves_nothing(engine: Engine, look: Look) -> None:
    before = engine.indices("*")
    found = look(parity=True)
    assert engine.indices("*") == before
    assert found.parity is not None
    compared = {proof.form: proof.compared for proof in found.parity if proof.proven}
    assert list(compared) == ["rank_feature"] and compared["rank_feature"] > 1_000
    assert all(proof.absent for proof in found.parity if not proof.compared)
    assert states(found)["parity"] == "ok"


def test_parity_would_see_a_wrong_score(engine: Engine, model: ModelFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def a_bit_off(queries: Any, documents: Any) -> Any:
        return np.nextafter(real(queries, documents), np.float32(np.inf))

    real = parity.reference_scores
    monkeypatch.setattr(parity, "reference_scores", a_bit_off)
    proofs = {proof.form: proof for proof in check_parity(engine, model.lexicon, ALIAS)}
    assert proofs["rank_feature"].wrong >= proofs["rank_feature"].compared > 0


@pytest.mark.parametrize("error", [KeyboardInterrupt, LexlipError("made up: mend it.")])
def test_parity_removes_its_index_when_it_is_interrupted(
    engine: Engine, model: ModelFolder, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def stop(*_: Any) -> None:
        assert len(engine.indices(f"{ALIAS}_parity_*")) == 1
        raise error

    monkeypatch.setattr(engine, "msearch", stop)
    with pytest.raises((KeyboardInterrupt, LexlipError)):
        list(check_parity(engine, model.lexicon, ALIAS))
    assert engine.indices(f"{ALIAS}_parity_*") == {}


def command(*arguments: str, url: str, model: ModelFolder) -> list[Any]:
    env = {**os.environ, "LEXLIP_ES_URL": url, "LEXLIP_ES_MODEL": str(model.path), "PYTHONPATH": os.pathsep.join(sys.path)}
    return [[sys.executable, "-m", "lexlip_es.cli", "doctor", "--index", ALIAS, *arguments], env]


def test_the_command_exits_by_the_worst_line_and_speaks_json(
    engine: Engine, engine_url: str, build: Build, model: ModelFolder
) -> None:
    build()
    arguments, env = command("--json", "--parity", url=engine_url, model=model)
    run = subprocess.run(arguments, env=env, capture_output=True, text=True, timeout=120)
    answer = json.loads(run.stdout)
    disk_is_full = any(line["subject"] == "disk" and line["state"] == "failure" for line in answer["lines"])
    assert (run.returncode, answer["ok"]) == ((1, False) if disk_is_full else (0, True)), run.stdout
    assert (answer["index"], answer["address"]) == (ALIAS, engine_url) and answer["parity"][0]["wrong"] == 0
    assert answer["lines"][0]["subject"] == "server" and f"answers at {engine_url}" in answer["lines"][0]["said"]
    assert {"subject", "state", "said"} == set(answer["lines"][0])
    arguments, env = command(url="http://127.0.0.1:9", model=model)
    run = subprocess.run(arguments, env=env, capture_output=True, text=True, timeout=120)
    assert run.returncode == 1 and run.stdout.startswith("failure  server")
    assert "http://127.0.0.1:9" in run.stdout.splitlines()[0] and run.stderr == ""


def test_nothing_is_started_where_no_url_is_set(model: ModelFolder, make_home: Callable[[str], Path], engine_home: Path) -> None:
    arguments, env = command(url="", model=model)
    home = make_home("no-node")
    run = subprocess.run(arguments, env=env | {"LEXLIP_HOME": str(home)}, capture_output=True, text=True, timeout=120)
    assert (run.returncode, run.stderr) == (1, "")
    assert run.stdout.split(maxsplit=2)[2] == (
        "no URL is set and the embedded engine is not running: set LEXLIP_ES_URL, or run `lexlip-es engine start`.\n"
    )
    assert embedded.status(home) is None and sorted(path.name for path in home.iterdir()) == ["cache"]


def test_the_embedded_engine_is_examined_where_it_runs(node: embedded.RunningNode, model: ModelFolder, engine_home: Path) -> None:
    arguments, env = command("--json", url="", model=model)
    run = subprocess.run(arguments, env=env | {"LEXLIP_HOME": str(engine_home)}, capture_output=True, text=True, timeout=120)
    assert json.loads(run.stdout)["address"] == node.url


def test_an_address_is_named_without_its_login(engine_url: str, model: ModelFolder) -> None:
    arguments, env = command("--json", url=engine_url.replace("//", "//ann:hush@"), model=model)
    run = subprocess.run(arguments, env=env, capture_output=True, text=True, timeout=120)
    assert json.loads(run.stdout)["address"] == engine_url
    assert not any(secret in run.stdout + run.stderr for secret in ("ann:", "hush"))


def test_a_foreign_index_is_sent_nothing_that_could_change_it(engine: Engine, engine_url: str, index: str, look: Look) -> None:
    engine.update_aliases([{"add": {"index": index, "alias": "theirs"}}])
    for name in (index, "theirs"):
        with serving(Relay(engine_url)) as relay:
            found = examine(ConnectionSettings(urls=(relay.url,)), name)
        asked = re.findall(rb"\b(GET|HEAD|POST|PUT|DELETE) (/\S*) HTTP", relay.seen)
        changing = [path.decode() for method, path in asked if method not in (b"GET", b"HEAD") and not path.endswith(b"/_search")]
        assert len(changing) == 1 and changing[0].startswith(f"/{name}-lexlip-doctor-"), changing
        assert states(found)["mapping"] == "failure"
        assert "may search, make an index" in next(line.said for line in found.lines if line.subject == "permissions")


def test_ctrl_c_during_the_command_leaves_nothing(engine: Engine, engine_url: str, model: ModelFolder) -> None:
    arguments, env = command("--parity", url=engine_url, model=model)
    process = subprocess.Popen(arguments, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not engine.indices(f"{ALIAS}_parity_*") and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert engine.indices(f"{ALIAS}_parity_*") == {}


@on_servers(*(os.environ.get("LEXLIP_TEST_SERVERS") or " ".join(MATRIX[1:])).split())
def test_every_form_of_every_server_is_proven(server: Server, model: ModelFolder) -> None:
    other = connect(ConnectionSettings(urls=(server.url,)))
    found = examine(ConnectionSettings(urls=(server.url,)), ALIAS, model.path, parity=True)
    assert other.indices(f"{ALIAS}*") == {}
    other.close()
    assert [line.said for line in found.lines if line.state == "failure"] == []
    proven = {proof.form for proof in found.parity or () if proof.proven}
    features = next(line.said for line in found.lines if line.subject == "features")
    listed = features.partition("query forms ")[2].partition(":")[0].rstrip(".")
    assert proven == set(listed.split(", "))


@on_servers("elasticsearch-9.5.3-secured")
def test_least_privilege_is_enough_and_what_is_missing_is_named(server: Server, model: ModelFolder) -> None:
    def as_user(user: str) -> ConnectionSettings:
        return ConnectionSettings(urls=(server.url,), username=user, password=server.users[user], ca_certs=server.ca)

    name = "pictures-doctored"
    indexer = connect(as_user("indexer"))
    found = examine(as_user("indexer"), name, model.path, parity=True)
    assert [line.said for line in found.lines if line.state == "failure"] == []
    assert set(faults(found)) <= {"index", "features", "clauses"}
    assert any(proof.proven for proof in found.parity or ())
    assert indexer.indices(f"{name}*") == {}
    indexer.create_index(f"{name}-000001", {"mappings": {"_meta": {"lexlip": index_meta(model, "picture", 3)}}})
    try:
        lines = examine(as_user("searcher"), f"{name}-000001", model.path).lines
        (line,) = (line for line in lines if line.subject == "permissions")
        assert line.state == "warning" and "may not make an index or write documents or set an alias" in line.said
        assert examine(as_user("outsider"), f"{name}-000001", model.path).failed
    finally:
        indexer.delete_index(f"{name}-000001")
