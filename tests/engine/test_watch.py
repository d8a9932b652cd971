"""`lexlip-es index --watch` as a person runs it: a process of its own, a real folder, and what is in the index seconds later."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lexlip_es.encoders import load_encoder
from lexlip_es.engines import Engine
from lexlip_es.indexing import index_source
from lexlip_es.loading import Run
from lexlip_es.model_folder import ModelFolder
from lexlip_es.sources.folder import PictureFolder
from tests.engine.fault_proxy import FaultProxy, answering
from tests.made_model import make_model

ALIAS, CLEAN = "watched", "watched-clean"
SECONDS = 10.0  # within which a change must be found; a busy machine gets three times as long
Contents = dict[str, dict[str, Any]]


@dataclass
class House:
    """A folder that is watched, the process that watches it, and its index."""

    engine: Engine
    model: ModelFolder
    root: Path
    log: Path
    url: str
    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    def paint(self, path: str, red: int, green: int = 0) -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (red, green, 9)).save(file)
        return file

    def watch(self, *options: str) -> None:
        command = ["index", "--watch", "--images", str(self.root), "--index", ALIAS, "--collection", "photos", "--json", *options]
        environment = {**os.environ, "LEXLIP_ES_URL": self.url, "PYTHONPATH": os.pathsep.join(sys.path)}
        environment["LEXLIP_ES_MODEL"] = str(self.model.path)
        with self.log.with_suffix(".out").open("w") as out, self.log.with_suffix(".err").open("w") as err:
            arguments = [sys.executable, "-m", "lexlip_es.cli", *command]
            self.processes.append(subprocess.Popen(arguments, env=environment, stdout=out, stderr=err, text=True))
        self.eventually(lambda: len(self.batches()) == 1)

    def batches(self) -> list[dict[str, Any]]:
        lines = self.log.with_suffix(".out").read_text().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def said(self) -> str:
        return self.log.with_suffix(".err").read_text()

    def contents(self, alias: str = ALIAS) -> Contents:
        return {hit["source"]["path"]: hit for hit in self.engine.scan(alias)}

    def total(self, what: str) -> int:
        return sum(batch[what] for batch in self.batches()[1:])

    def eventually(self, is_so: Callable[[], bool]) -> None:
        ends = time.monotonic() + 3 * SECONDS
        while not is_so():
            running = self.processes[-1].poll() is None
            assert running and time.monotonic() < ends, f"{self.said()}\n{self.batches()}"
            time.sleep(0.1)

    def stop(self) -> int:
        self.processes[-1].send_signal(signal.SIGINT)
        return self.processes[-1].wait(30)

    def is_like_a_clean_run(self) -> bool:
        run = replace(Run.of(load_encoder(self.model), self.root, collection="photos"), workers=0)
        index_source(self.engine, run, PictureFolder(self.root), CLEAN)
        return self.contents() == self.contents(CLEAN)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    return make_model(tmp_path_factory.mktemp("model") / "hues")


@pytest.fixture
def house(engine: Engine, engine_url: str, model: ModelFolder, tmp_path: Path) -> Iterator[House]:
    house = House(engine, model, tmp_path / "photos", tmp_path / "log", engine_url)
    for i in range(20):
        house.paint(f"{'ab'[i % 2]}/{i}.png", 12 * i)
    yield house
    for process in house.processes:
        process.kill()
        process.wait()
    for index in engine.indices("watched*"):
        engine.delete_index(index)


def test_what_changes_is_in_the_index_within_seconds_and_only_new_content_is_encoded(house: House) -> None:
    house.watch("--exclude", "cache/")
    assert house.batches()[0]["added"] == 20
    started = time.monotonic()
    house.paint("a/new.png", 7, 200)
    house.eventually(lambda: "a/new.png" in house.contents())
    assert time.monotonic() - started < SECONDS

    before = house.contents()
    house.paint("a/0.png", 8, 220)
    house.eventually(lambda: house.contents()["a/0.png"] != before["a/0.png"])
    (house.root / "b/1.png").unlink()
    house.eventually(lambda: "b/1.png" not in house.contents())

    encoded = house.total("indexed")
    (house.root / "a/2.png").rename(house.root / "moved.png")
    house.eventually(lambda: "a/2.png" not in house.contents())
    assert house.contents()["moved.png"]["source"]["terms"] == before["a/2.png"]["source"]["terms"]
    assert (house.total("moved"), house.total("indexed")) == (1, encoded + 1)
    assert house.batches()[-1]["seconds"]["encode"] == 0

    (house.root / "a").rename(house.root / "c")
    house.eventually(lambda: "c/4.png" in house.contents() and "a/4.png" not in house.contents())
    assert house.batches()[-1]["seconds"]["encode"] == 0

    house.paint("cache/tiny.png", 50, 50)
    house.paint(".hidden/tiny.png", 50, 50)
    house.paint("d/deep/er.png", 60, 50)
    (house.root / "loop").symlink_to(house.root)
    house.eventually(lambda: "d/deep/er.png" in house.contents())
    assert house.stop() == 0, house.said()
    (house.root / "cache/tiny.png").unlink()
    assert house.is_like_a_clean_run()
    assert not any(batch["whole"] for batch in house.batches()[1:-1])


def test_a_folder_that_is_deleted_takes_its_documents_alone_unless_they_are_too_many(house: House) -> None:
    for i in range(3):
        house.paint(f"trip/day/{i}.png", 9 * i, 90)
    house.paint("trip.png", 5, 95)
    house.watch()
    for file in (house.root / "trip/day").iterdir():
        file.unlink()
    (house.root / "trip/day").rmdir()
    (house.root / "trip").rmdir()
    house.eventually(lambda: len(house.contents()) == 21)
    assert house.total("removed") == 3
    for file in (house.root / "a").iterdir():
        file.unlink()
    house.eventually(lambda: "--yes" in house.said())
    house.paint("new.png", 7, 200)
    house.eventually(lambda: "new.png" in house.contents())
    assert len(house.contents()) == 22


def test_a_root_that_is_unmounted_removes_nothing_and_is_compared_when_it_is_back(house: House) -> None:
    house.watch()
    away = house.root.rename(house.root.with_name("unplugged"))
    house.eventually(lambda: "unmounted" in house.said())
    house.root.mkdir()  # a mount point without its disk
    (away / "a/0.png").unlink()
    away.joinpath("b/1.png").rename(away / "b/renamed.png")
    time.sleep(2)
    assert len(house.contents()) == 20
    house.root.rmdir()
    away.rename(house.root)
    house.eventually(lambda: len(house.contents()) == 19)
    assert house.batches()[-1]["whole"] and house.batches()[-1]["moved"] == 1
    house.paint("new.png", 7, 200)
    house.eventually(lambda: "new.png" in house.contents())
    assert house.stop() == 0
    assert house.is_like_a_clean_run()


def test_a_picture_is_indexed_when_it_is_complete_however_slowly_it_came(house: House, tmp_path: Path) -> None:
    Image.effect_noise((300, 300), 90).save(tmp_path / "whole.png")
    content = (tmp_path / "whole.png").read_bytes()
    house.watch()
    with (house.root / "slow.png").open("wb") as file:
        file.write(content[: len(content) // 2])
        file.flush()
        time.sleep(3.5)  # longer than it takes to settle
        file.write(content[len(content) // 2 :])
    house.eventually(lambda: "slow.png" in house.contents())
    assert house.total("added") == 1
    assert "left out" not in house.said()
    assert house.stop() == 0


def test_a_killed_watch_and_a_normal_run_end_like_a_clean_run(house: House) -> None:
    house.watch()
    for i in range(4):
        house.paint(f"late/{i}.png", 30 * i, 30)
    house.eventually(lambda: any("late/" in path for path in house.contents()))
    (house.root / "a/0.png").rename(house.root / "z.png")
    house.processes[-1].kill()
    house.processes[-1].wait()
    (house.root / "a/2.png").unlink()
    house.watch()
    assert house.stop() == 0
    assert house.is_like_a_clean_run()


def test_trouble_with_the_engine_is_waited_for_and_nothing_is_lost(house: House, proxy: FaultProxy) -> None:
    house.url = proxy.url
    house.watch()
    proxy.troubled = b"/"  # whatever is asked
    proxy.faults.extend([answering(503)] * 10)
    house.paint("new.png", 7, 200)
    house.eventually(lambda: "tried again" in house.said())
    (house.root / "b/1.png").unlink()
    house.eventually(lambda: "new.png" in house.contents() and "b/1.png" not in house.contents())
    assert "up to date again" in house.said()
    assert house.stop() == 0


def test_what_is_behind_a_link_comes_with_a_full_comparison(house: House, tmp_path: Path) -> None:
    house.watch()
    elsewhere = replace(house, root=tmp_path / "elsewhere")
    elsewhere.paint("linked.png", 70, 70)
    (house.root / "link").symlink_to(tmp_path / "elsewhere")
    house.eventually(lambda: "link/linked.png" in house.contents())
    assert house.batches()[-1]["whole"]


def test_only_whole_folders_are_watched(house: House, tmp_path: Path) -> None:
    names = tmp_path / "names.txt"
    names.write_text("a/0.png\n")
    command = [sys.executable, "-m", "lexlip_es.cli", "index", "--watch", "--images", str(house.root), "--files", str(names)]
    environment = {**os.environ, "LEXLIP_ES_URL": house.url, "LEXLIP_ES_MODEL": str(house.model.path)}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert run.returncode == 2 and "whole folders" in run.stderr
