"""Several processes, one index: what a launcher starts together makes the whole, and a shard that died is run again alone."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lexlip_es.engines import Engine
from tests.made_model import make_model

PICTURES = 40


@dataclass
class Crowd:
    """A folder of pictures, one of which is none, and an index for several processes."""

    engine: Engine
    url: str
    root: Path
    model: Path
    started: list["subprocess.Popen[str]"] = field(default_factory=list)

    def command(self, index: str, *options: str) -> list[str]:
        return [
            "-m",
            "lexlip_es.cli",
            "index",
            "--images",
            str(self.root),
            "--model",
            str(self.model),
            "--index",
            index,
            *options,
        ]

    def start(self, command: list[str]) -> "subprocess.Popen[str]":
        ours = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM", "RANK", "WORLD_SIZE"))}
        run = subprocess.Popen(
            [sys.executable, *command],
            env={**ours, "LEXLIP_ES_URL": self.url, "OMP_NUM_THREADS": "1"},
            stderr=subprocess.PIPE,
            text=True,
        )
        self.started.append(run)
        return run

    def ends(self, run: "subprocess.Popen[str]") -> tuple[int, str]:
        said = run.communicate(timeout=240)[1]
        return run.returncode, said

    def documents(self, index: str) -> dict[str, dict[str, Any]]:
        self.engine.refresh(index)
        found = list(self.engine.scan(index))
        assert len({hit["source"]["path"] for hit in found}) == len(found), "nothing is double"
        return {hit["_id"]: hit["source"] for hit in found}

    def whole(self) -> dict[str, dict[str, Any]]:
        assert self.ends(self.start(self.command("crowd-whole")))[0] == 3
        return self.documents("crowd-whole")


@pytest.fixture
def crowd(engine: Engine, engine_url: str, tmp_path: Path) -> Iterator[Crowd]:
    root = tmp_path / "photos"
    root.mkdir()
    for i in range(PICTURES):
        Image.new("RGB", (8, 8), (6 * i, 200 - 5 * i, 9)).save(root / f"{i}.png")
    (root / "broken.jpg").write_bytes(b"no picture")
    house = Crowd(engine, engine_url, root, make_model(tmp_path / "model").path)
    yield house
    for run in house.started:
        run.kill()
        run.wait()
    for index in engine.indices("crowd*"):
        engine.delete_index(index)


def test_processes_of_accelerate_make_one_index_and_a_bad_picture_does_not_end_the_others(crowd: Crowd) -> None:
    pytest.importorskip("accelerate")
    launch = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1"]
    launch += ["--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
    code, said = crowd.ends(crowd.start([*launch, *crowd.command("crowd", "--shard", "auto")]))
    assert code == 0, said[-2000:]
    assert said.count("broken.jpg") == 1, "in one shard alone"
    assert len(crowd.documents("crowd")) == PICTURES
    assert crowd.documents("crowd") == crowd.whole()


def test_a_shard_that_was_killed_is_run_again_alone(crowd: Crowd) -> None:
    killed = crowd.start(crowd.command("crowd", "--shard", "1/2"))
    until = time.monotonic() + 60
    while not crowd.engine.indices("crowd-*") and killed.poll() is None and time.monotonic() < until:
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert crowd.ends(crowd.start(crowd.command("crowd", "--shard", "2/2")))[0] in (0, 3)
    theirs = crowd.documents("crowd")
    assert 0 < len(theirs) < PICTURES
    assert crowd.ends(crowd.start(crowd.command("crowd", "--shard", "1/2")))[0] in (0, 3)
    assert crowd.documents("crowd") == crowd.whole()
