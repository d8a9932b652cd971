"""Engine trouble: whatever the network, a gate or the node does in mid-load, nothing is lost and nothing is double."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from PIL import Image

from lexlip_es.engines import ConnectionSettings, Engine, EngineUnreachableError, connect, http_engine
from lexlip_es.engines.opensearch import OpenSearchEngine
from lexlip_es.engines.retries import PATIENT, RetryPolicy
from lexlip_es.mappings import LOAD_SETTINGS, index_body, index_meta
from lexlip_es.model_folder import ModelFolder
from tests.engine.fault_proxy import (
    Fault,
    FaultProxy,
    answering,
    cut_answer,
    cut_request,
    drop,
    half_open,
    late,
    lose,
    pass_on,
    swallow,
)
from tests.made_model import COLOURS, make_model
from tests.servers.restarting import RestartingNode

BRISK = RetryPolicy(attempts=6, first=0.01)
ALIAS, FIRST = "troubled", "troubled-000001"
NUMBER = 2_500  # documents: three chunks
BLOCK = "blocks.read_only_allow_delete"


def documents(number: int = NUMBER) -> Iterator[dict[str, Any]]:
    for i in range(number):
        yield {"_id": f"{i:05}", "source": {"terms": {"dog": 1.0 + i}, "path": f"{i}.jpg"}}


def load(engine: Engine, index: str, number: int = NUMBER, each: Callable[[int], object] = lambda i: None) -> None:
    """Load made documents, and find each of them there once, as it was sent; `each` is called as one is read."""

    def read() -> Iterator[dict[str, Any]]:
        for i, document in enumerate(documents(number)):
            each(i)
            yield document

    results = list(engine.bulk(index, read()))
    assert [result for result in results if not result.ok] == []
    assert [result.id for result in results] == [document["_id"] for document in documents(number)]
    held(engine, index, number)


def held(engine: Engine, index: str, number: int = NUMBER) -> None:
    """All of the made documents are in the index, and nothing else."""
    engine.refresh(index)
    assert engine.count(index) == number
    assert {hit["_id"]: hit["source"] for hit in engine.scan(index)} == {
        each["_id"]: each["source"] for each in documents(number)
    }


@pytest.fixture
def through(proxy: FaultProxy) -> Iterator[Engine]:
    engine = OpenSearchEngine(ConnectionSettings(urls=(proxy.url,)), loading=BRISK)
    yield engine
    engine.close()


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(answering(429), id="too many requests"),
        pytest.param(answering(503), id="service unavailable"),
        pytest.param(answering(502), id="bad gateway"),
        pytest.param(late(0.3), id="latency"),
        pytest.param(drop, id="reset before the engine heard of it"),
        pytest.param(lose, id="reset when the engine had done it"),
        pytest.param(cut_request(0), id="cut after the head"),
        pytest.param(cut_request(40_000), id="cut within the documents"),
        pytest.param(cut_answer(0), id="cut before the answer's body"),
        pytest.param(cut_answer(500), id="cut within the answer"),
    ],
)
def test_a_fault_in_mid_bulk_loses_nothing(through: Engine, proxy: FaultProxy, index: str, fault: Fault) -> None:
    proxy.faults.extend([pass_on, fault, fault])
    load(through, index)


@pytest.mark.parametrize("fault", [pytest.param(swallow, id="black hole"), pytest.param(half_open, id="half open")])
def test_a_connection_on_which_nothing_comes_back_is_given_up_and_its_documents_sent_again(
    through: Engine, proxy: FaultProxy, index: str, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_engine, "BULK_SECONDS", 2.0)
    proxy.faults.extend([pass_on, fault])
    load(through, index)


def test_faults_of_every_kind_at_once_lose_nothing(through: Engine, proxy: FaultProxy, index: str) -> None:
    storm = [answering(429), lose, pass_on, cut_answer(100), answering(503), drop, pass_on, cut_request(9), lose]
    proxy.faults.extend(storm)
    load(through, index, 6_500)
    assert not proxy.faults


def test_a_gate_that_says_when_to_come_back_is_asked_no_sooner(through: Engine, proxy: FaultProxy, index: str) -> None:
    asked: list[float] = []
    proxy.before_bulk = lambda: asked.append(time.monotonic())
    proxy.faults.extend([answering(429, retry_after="1"), answering(503, retry_after="1")])
    load(through, index, 10)
    assert [later - sooner >= 1.0 for sooner, later in pairwise(asked)] == [True, True]


@pytest.mark.parametrize("moment", ["soon", "-5", "Wed, 21 Oct 2015 07:28:00 GMT", "9" * 5_000, "999999999"])
def test_a_gate_that_says_nonsense_is_asked_again_as_usual(through: Engine, proxy: FaultProxy, index: str, moment: str) -> None:
    proxy.faults.append(answering(429, retry_after=moment))
    began = time.monotonic()
    load(through, index, 10)
    assert time.monotonic() - began < 5


def test_a_load_is_patient_for_longer_than_a_server_takes_to_look_at_its_disk_again() -> None:
    assert min(sum(PATIENT.pauses()) for _ in range(100)) > 60


def test_a_disk_that_fills_up_in_mid_load_is_waited_for(through: Engine, engine: Engine, proxy: FaultProxy, index: str) -> None:
    """Room that is made while the load runs, or a merge that ends, lets it go on as if nothing had been."""
    requests = 0

    def fill_up() -> None:
        nonlocal requests
        requests += 1
        engine.put_settings(index, {"index": {BLOCK: True if 2 <= requests <= 4 else None}})

    proxy.before_bulk = fill_up
    load(through, index)
    assert requests == 6


def test_a_document_that_is_refused_is_listed_and_the_others_go_on(through: Engine, proxy: FaultProxy, index: str) -> None:
    bad: dict[str, dict[str, Any]] = {
        "00007": {"colour": "red"},
        "01500": {"path": "x" * 40_000},
        "02499": {"terms": {"a": -1.0}},
    }
    sent = [{**each, "source": bad.get(each["_id"], each["source"])} for each in documents()]
    proxy.faults.extend([lose, answering(429), lose, cut_answer(10)])
    refused = {result.id: result.reason for result in through.bulk(index, sent) if not result.ok}
    assert list(refused) == list(bad)
    assert "[colour]" in str(refused["00007"]) and "max length 32766" in str(refused["01500"])
    through.refresh(index)
    assert through.count(index) == NUMBER - 3


def test_an_engine_that_stays_away_is_told_in_one_sentence(through: Engine, proxy: FaultProxy, index: str) -> None:
    proxy.usually = lose
    with pytest.raises(EngineUnreachableError, match="does not answer"):
        list(through.bulk(index, documents()))


@pytest.fixture(scope="module")
def own_node() -> Iterator[RestartingNode]:
    node = RestartingNode()
    try:
        node.start()
        yield node
    finally:
        node.remove()


@pytest.mark.parametrize("ends", [RestartingNode.stop, RestartingNode.kill], ids=["stopped", "killed"])
def test_a_node_that_ends_and_comes_back_in_mid_load_loses_nothing(
    own_node: RestartingNode, ends: Callable[[RestartingNode], None]
) -> None:
    engine = connect(ConnectionSettings(urls=(own_node.url,)))
    body = {"mappings": {"properties": {"terms": {"type": "rank_features"}, "path": {"type": "keyword"}}}}
    engine.create_index("restarted", body)

    def restart() -> None:
        ends(own_node)
        own_node.start()

    restarting = Thread(target=restart)

    def each(i: int) -> None:
        if i == 3_000:
            restarting.start()
        elif i > 3_000 and restarting.is_alive():
            time.sleep(0.001)  # slow enough for the node to end within the load, or between two of its requests

    try:
        load(engine, "restarted", 8_000, each)
    finally:
        restarting.join()
        engine.patient().delete_index("restarted")
        engine.close()


# Whole runs: what a person starts, kills and starts again.


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    return make_model(tmp_path_factory.mktemp("trouble") / "colours")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return paint(tmp_path / "photos", 0, 60)


def paint(folder: Path, first: int, last: int) -> Path:
    """Pictures of their own content each; every tenth names its camera."""
    folder.mkdir(exist_ok=True)
    for i in range(first, last):
        picture = Image.new("RGB", (20, 10), COLOURS[i % 3])
        picture.putpixel((0, 0), (i, 0, 0))
        exif = picture.getexif()
        if i % 10 == 0:
            exif[0x0110] = "Made"  # the camera's model
        picture.save(folder / f"{i:03}.png", exif=exif)
    return folder


Start = Callable[[FaultProxy, Path], "subprocess.Popen[str]"]


@pytest.fixture
def start(model: ModelFolder, engine: Engine) -> Iterator[Start]:
    """A function that starts `lexlip-es index` on a folder, through a proxy."""
    started: list[subprocess.Popen[str]] = []

    def begin(proxy: FaultProxy, folder: Path) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "lexlip_es.cli", "index", "--images", str(folder), "--index", ALIAS, "--json"]
        env = {**os.environ, "LEXLIP_ES_URL": proxy.url, "LEXLIP_ES_MODEL": str(model.path)}
        env["PYTHONPATH"] = os.pathsep.join(sys.path)
        started.append(subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return started[-1]

    yield begin
    for run in started:
        run.kill()
        run.communicate()
    for index in engine.indices(f"{ALIAS}-*"):
        engine.delete_index(index)


def paths(engine: Engine) -> list[str]:
    engine.refresh(ALIAS)
    return sorted(hit["source"]["path"] for hit in engine.scan(ALIAS))


def names(number: int) -> list[str]:
    return [f"{i:03}.png" for i in range(number)]


def settings(engine: Engine) -> dict[str, Any]:
    """The settings of the first index that somebody chose, and what `_meta` says of a load."""
    found = engine.indices(FIRST)[FIRST]
    load = found["mappings"]["_meta"]["lexlip"].get("load")
    return {**{name: found["settings"]["index"].get(name) for name in LOAD_SETTINGS}, "load": load, "aliases": found["aliases"]}


def wait_for(condition: Callable[[], object]) -> None:
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_a_first_load_that_is_killed_is_ended_by_the_next_run_with_its_settings_restored(
    start: Start, engine: Engine, proxy: FaultProxy, photos: Path
) -> None:
    proxy.usually = half_open
    killed = start(proxy, photos)
    wait_for(lambda: proxy.sent)
    during = settings(engine)
    killed.kill()
    killed.communicate()
    assert during["refresh_interval"] == "-1" and during["number_of_replicas"] == "0"
    assert settings(engine) == during and during["aliases"] == {} and during["load"]
    proxy.usually = pass_on
    after = start(proxy, photos)
    answer, said = after.communicate(timeout=120)
    assert after.returncode == 0, said
    ended = settings(engine)
    assert ended["load"] is None and list(ended["aliases"]) == [ALIAS]
    assert (ended["refresh_interval"], ended["auto_expand_replicas"]) == (None, "0-1")
    assert paths(engine) == names(60)
    assert json.loads(answer)["skipped"] == []


def test_an_index_that_serves_keeps_its_settings_while_more_is_loaded_into_it(
    start: Start, engine: Engine, proxy: FaultProxy, photos: Path
) -> None:
    assert start(proxy, photos).wait(120) == 0
    engine.put_settings(FIRST, {"index": {"refresh_interval": "7s"}})
    before, seen = settings(engine), []
    proxy.before_bulk = lambda: seen.append(settings(engine))
    proxy.faults.extend([answering(429), lose, cut_answer(10)])
    assert start(proxy, paint(photos, 60, 90)).wait(120) == 0
    proxy.usually = half_open
    killed = start(proxy, paint(photos, 90, 120))
    wait_for(lambda: len(seen) >= 5)
    killed.kill()
    killed.communicate()
    proxy.usually = pass_on
    assert start(proxy, photos).wait(120) == 0
    assert seen == [before] * len(seen) and settings(engine) == before
    assert paths(engine) == names(120)


def test_a_block_that_stays_ends_a_run_with_one_sentence_and_the_next_run_goes_on(
    start: Start, engine: Engine, proxy: FaultProxy, photos: Path
) -> None:
    """As after a full disk, which is waited for first; this block is one that somebody set, and told at once."""
    assert start(proxy, photos).wait(120) == 0
    engine.put_settings(FIRST, {"index": {"blocks.write": True}})
    run = start(proxy, paint(photos, 60, 90))
    answer, said = run.communicate(timeout=120)
    engine.put_settings(FIRST, {"index": {"blocks.write": None}})
    assert run.returncode == 1 and answer == ""
    assert re.search(r"^lexlip-es: .* free disk space there or lift the block, then go on\.$", said, re.MULTILINE)
    assert "Traceback" not in said
    assert start(proxy, photos).wait(120) == 0
    assert paths(engine) == names(90)


def test_a_picture_that_the_engine_refuses_is_listed_and_the_others_are_indexed(
    start: Start, engine: Engine, proxy: FaultProxy, photos: Path, model: ModelFolder
) -> None:
    body = index_body(index_meta(model, "picture", model.pruning.picture_terms))
    del body["mappings"]["properties"]["camera"]
    engine.create_index(FIRST, {**body, "aliases": {ALIAS: {}}})
    run = start(proxy, photos)
    answer, said = run.communicate(timeout=120)
    assert run.returncode == 3, said
    refused = [f"{i:03}.png" for i in range(0, 60, 10)]
    assert sorted(item["path"] for item in json.loads(answer)["failed"]) == refused
    assert all("camera" in item["reason"] for item in json.loads(answer)["failed"])
    assert paths(engine) == sorted(set(names(60)) - set(refused))
