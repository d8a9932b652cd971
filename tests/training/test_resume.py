"""A run that is killed at any step and started again ends with the weights of one that was not, to the bit."""

import json
import os
import resource
import signal
import time
from pathlib import Path

import pytest
import torch
import torch.multiprocessing as mp
from safetensors.torch import load_file

from lexlip_es.errors import LexlipError
from lexlip_training.recipe import load_recipe
from lexlip_training.train import train

TINY = Path(__file__).parents[2] / "training" / "configs" / "tiny.toml"
BOTH_STAGES = ["phase.bag.epochs=0", "phase.locked.epochs=0", "phase.stage1.epochs=2", "phase.stage2.epochs=3"]
DROPOUT = ["picture.dropout=0.1", "save_every=1"]  # so that a lost random state would show


def recipe(data_settings, output, *more):
    return load_recipe(TINY, [*data_settings, *BOTH_STAGES, *DROPOUT, f"output={output}", *more])


def run(made, resume):
    torch.set_num_threads(1)
    train(made, resume=resume)


def start(made, resume=False):
    process = mp.get_context("fork").Process(target=run, args=(made, resume))
    process.start()
    return process


def states(folder):
    progress = folder / "tiny" / "progress.json"
    phases = json.loads(progress.read_text())["phases"] if progress.is_file() else {}
    return [(name, facts["epochs_done"], facts["batches_done"]) for name, facts in phases.items()]


def logged(folder):
    lines = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [{**line, "seconds": 0, "pictures_per_second": 0} for line in lines]


def kill_after(process, folder, seen, states_more):
    """SIGKILL once `states_more` further states were written."""
    known = {*seen}
    while process.is_alive() and len(known) < len(seen) + states_more:
        known |= {*states(folder)}
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    return known


@pytest.fixture(scope="module")
def whole(data_settings, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    run(recipe(data_settings, folder), False)
    return folder / "tiny"


def test_killed_again_and_again_it_ends_the_same(data_settings, tmp_path, whole):
    made = recipe(data_settings, tmp_path)
    seen = kill_after(start(made), tmp_path, set(), 2)
    for more in (2, 5):
        seen = kill_after(start(made, resume=True), tmp_path, seen, more)
    assert ("stage2", 3, 0) not in states(tmp_path), "the run was over before it was killed: nothing is shown"
    finished = start(made, resume=True)
    finished.join()
    assert finished.exitcode == 0
    for name in ("best-stage1.safetensors", "best-stage2.safetensors", "checkpoint/model.safetensors"):
        left, right = load_file(whole / name), load_file(tmp_path / "tiny" / name)
        for tensor in left:
            assert torch.equal(left[tensor], right[tensor]), (name, tensor)
    last = json.loads((whole / "progress.json").read_text())["phases"]["stage2"]["state"]
    left, right = (load_file(run / last / "momentum.safetensors") for run in (whole, tmp_path / "tiny"))
    assert left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left), "momentum or queues"
    lines = [
        [
            {**json.loads(line), "seconds": 0, "pictures_per_second": 0}
            for line in (run / "metrics.jsonl").read_text().splitlines()
        ]
        for run in (whole, tmp_path / "tiny")
    ]
    assert lines[0] == lines[1], "a step was logged twice, or not at all"


def test_only_the_last_states_are_kept(whole):
    kept = sorted(path.name for path in whole.glob("state-*"))
    assert kept == sorted(json.loads((whole / "progress.json").read_text())["phases"]["stage2"]["states"]) and len(kept) == 2


def test_a_full_disk_leaves_the_state_before_intact(data_settings, tmp_path, whole):
    made = recipe(data_settings, tmp_path)
    kill_after(start(made), tmp_path, set(), 2)
    before = json.loads((tmp_path / "tiny" / "progress.json").read_text())
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))  # the kernel refuses to write more into any file
    try:
        with pytest.raises(LexlipError, match="make room and go on with --resume"):
            train(made, resume=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert json.loads((tmp_path / "tiny" / "progress.json").read_text()) == before
    run(made, True)
    left, right = (load_file(folder / "checkpoint" / "model.safetensors") for folder in (whole, tmp_path / "tiny"))
    assert all(torch.equal(left[name], right[name]) for name in left)
