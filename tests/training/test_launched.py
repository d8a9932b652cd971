"""Whole runs of both stages: several processes started by accelerate, the dense twin, teachers, and the options of the loop."""

import json
from pathlib import Path

import pytest
import torch
from accelerate import debug_launcher
from accelerate.state import AcceleratorState
from safetensors.torch import load_file

from lexlip_es.errors import LexlipError
from lexlip_training.checkpoint import load_any, load_checkpoint
from lexlip_training.dense import DenseTwin
from lexlip_training.recipe import load_recipe
from lexlip_training.train import train

TINY = Path(__file__).parents[2] / "training" / "configs" / "tiny.toml"
SHORT = ["text.dropout=0.0", "phase.bag.epochs=0", "phase.locked.epochs=0", "phase.stage1.batch=8", "phase.stage1.accumulate=1"]


@pytest.fixture(autouse=True)
def fresh_accelerate():
    """accelerate keeps one precision for a process's life."""
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


def losses(folder):
    lines = map(json.loads, (folder / "tiny" / "metrics.jsonl").read_text().splitlines())
    return [line["losses"] for line in lines if "dev" in line]


@pytest.fixture(scope="module")
def alone(data_settings, tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone")
    torch.set_num_threads(1)
    train(load_recipe(TINY, [*data_settings, *SHORT, f"output={folder}"]))
    return folder


def launched(made):
    torch.set_num_threads(1)
    train(made)


@pytest.mark.parametrize("processes", [2, 3])
def test_processes_started_by_accelerate_train_the_same_model(data_settings, tmp_path, alone, processes):
    """30 pictures in batches of 8: the last one holds 6, and 8 do not divide by 3."""
    AcceleratorState._reset_state(reset_partial_state=True)
    made = load_recipe(TINY, [*data_settings, *SHORT, f"output={tmp_path}"])
    debug_launcher(launched, (made,), num_processes=processes)  # accelerate's launcher of CPU processes, over gloo
    for ours, theirs in zip(losses(tmp_path), losses(alone), strict=True):
        assert ours == pytest.approx(theirs, rel=2e-3, abs=2e-4)
    states = json.loads((tmp_path / "tiny" / "progress.json").read_text())["phases"]["stage2"]
    kept = {path.name for path in (tmp_path / "tiny" / states["state"]).iterdir()}
    assert {f"random_states_{rank}.pkl" for rank in range(processes)} <= kept, "every process's random state is kept"
    left, right = (load_file(folder / "tiny" / "checkpoint" / "model.safetensors") for folder in (alone, tmp_path))
    for name, tensor in left.items():
        torch.testing.assert_close(right[name], tensor, atol=3e-3, rtol=1e-2, msg=lambda said, name=name: f"{name}: {said}")


def test_stage_2_starts_from_a_stage_1_checkpoint_of_another_run(data_settings, tmp_path, alone):
    start = alone / "tiny" / "checkpoint"
    settings = [*data_settings, *SHORT, "phase.stage1.epochs=0", "phase.stage2.epochs=0", f"start={start}", f"output={tmp_path}"]
    train(load_recipe(TINY, settings))
    left, right = (load_file(folder / "model.safetensors") for folder in (start, tmp_path / "tiny" / "checkpoint"))
    assert all(torch.equal(left[name], right[name]) for name in left)
    with pytest.raises(LexlipError, match="is another model than this recipe's"):
        train(load_recipe(TINY, [*settings, "text.model=random:1x32"]))


def test_the_dense_twin_trains_with_the_same_recipe_and_teaches(data_settings, tmp_path):
    dense = ["kind=dense", "dense_dim=16", "phase.stage1.loss.mlm=0", "phase.stage1.loss.picture_mlm=0"]
    rates = "{picture = 3e-3, picture_head = 3e-3, text = 1e-3, text_head = 3e-3}"
    common = [*data_settings, *SHORT, f"output={tmp_path}"]
    twin = [
        *common,
        *dense,
        "phase.stage1.loss.text_mlm=0",
        f"phase.stage1.rates={rates}",
        f"phase.stage2.rates={rates}",
        "name=twin",
    ]
    checkpoint = train(load_recipe(TINY, twin))
    model = load_any(checkpoint)
    assert isinstance(model, DenseTwin)
    vectors = model.text_weights(torch.tensor([[101, 2417, 102]]), torch.ones(1, 3, dtype=torch.bool))
    assert vectors.shape == (1, 16) and float(vectors.norm()) == pytest.approx(1.0)
    with pytest.raises(LexlipError, match="holds a dense twin"):
        load_checkpoint(checkpoint)
    taught = [
        *common,
        "phase.stage2.epochs=0",
        "phase.stage1.loss.distil=1.0",
        f'teacher.checkpoints=["{checkpoint}"]',
        "name=tiny",
    ]
    train(load_recipe(TINY, taught))
    assert losses(tmp_path)[0]["distil"] > 0
    with pytest.raises(LexlipError, match=r"set teacher\.checkpoints"):
        train(load_recipe(TINY, [*taught, "teacher.checkpoints=[]"]))


def test_recomputed_activations_change_nothing(data_settings, tmp_path, alone):
    settings = [*data_settings, *SHORT, "phase.stage2.epochs=0", "gradient_checkpointing=true", f"output={tmp_path}"]
    train(load_recipe(TINY, settings))
    assert losses(tmp_path)[0] == pytest.approx(losses(alone)[0], rel=1e-4)


def test_bf16_trains(data_settings, tmp_path, alone):
    train(load_recipe(TINY, [*data_settings, *SHORT, "precision=bf16", f"output={tmp_path}"]))
    for ours, theirs in zip(losses(tmp_path), losses(alone), strict=True):
        assert ours == pytest.approx(theirs, rel=0.1, abs=0.02)


def test_a_queue_longer_than_half_the_pictures_is_refused(data_settings, tmp_path):
    with pytest.raises(LexlipError, match=r"momentum\.keys is 20, more than half of the 31 training pictures"):
        train(
            load_recipe(
                TINY, [*data_settings, *SHORT, "phase.stage1.epochs=0", "phase.stage2.momentum.keys=20", f"output={tmp_path}"]
            )
        )


@pytest.mark.parametrize("cached", [False, True])
def test_too_many_unreadable_pictures_stop_the_run(data_settings, tmp_path, cached):
    settings = [*data_settings, *SHORT, "data.max_bad=0.01", f"output={tmp_path}"]
    if cached:
        settings += [f"cache={tmp_path / 'cache'}", "picture.frozen_blocks=2"]
    with pytest.raises(LexlipError, match=r"1 of 31 pictures of the train split \(3\.2%\) are missing"):
        train(load_recipe(TINY, settings))
