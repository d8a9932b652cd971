"""A whole run on generated pictures: it learns, picks its best by dev, leaves out what it cannot read, and resumes."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from lexlip_es.encoders import load_encoder
from lexlip_es.errors import LexlipError
from lexlip_es.model_folder import ModelFolder
from lexlip_training.checkpoint import load_checkpoint
from lexlip_training.pack import pack
from lexlip_training.recipe import load_recipe
from lexlip_training.setting import prepare
from lexlip_training.train import train
from lexlip_training.validating import validate

TINY = Path(__file__).parents[2] / "training" / "configs" / "tiny.toml"


@pytest.fixture
def run(tiny_run):
    return tiny_run


def epochs(metrics, phase):
    return [entry for entry in metrics if entry["phase"] == phase and "dev" in entry]


def test_it_learns_the_squares(run):
    _, _, _, metrics = run
    first, last = epochs(metrics, "bag")[0], epochs(metrics, "bag")[-1]
    assert last["losses"]["contrast"] < first["losses"]["contrast"]
    assert max(entry["dev"]["text_to_picture"]["at_5"] for entry in epochs(metrics, "bag")) > 60  # chance: 50, of 10 pictures


def test_the_checkpoint_is_the_last_phases_best_on_dev(run):
    recipe, checkpoint, _, metrics = run
    best = max(sum(entry["dev"]["text_to_picture"][f"at_{k}"] for k in (1, 5, 10)) for entry in epochs(metrics, "stage2"))
    model = load_checkpoint(checkpoint)
    setting = prepare(recipe, lambda _: None)
    found = validate(model, setting.dev, "tower")
    assert found.total == pytest.approx(best, abs=0.1)
    assert ModelFolder.open(checkpoint).config["provenance"]["scores"]["dev"] == json.loads(json.dumps(found.to_dict()))


def test_every_step_logs_loss_parts_and_non_zero_terms(run):
    steps = [entry for entry in run[3] if "step" in entry]
    assert {"contrast", "flops_picture", "labels_picture"} <= set(steps[0]["losses"])
    assert set(steps[0]["terms"]) == {"text", "picture"} and set(epochs(run[3], "bag")[0]) >= {"pictures_per_second"}


def test_unreadable_pictures_are_named_and_left_out(run):
    assert any("unreadable, left out: broken.jpg" in line for line in run[2])


def test_the_folder_is_a_model_folder_that_rebuilds_the_model(run):
    _, checkpoint, _, _ = run
    folder = ModelFolder.open(checkpoint)
    assert sorted(path.name for path in checkpoint.iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
        "tokenizer.json",
    ]
    assert folder.lexicon.hash == folder.config["vocabulary_hash"]
    model = load_checkpoint(checkpoint)
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8))
    assert model.picture_weights(pixels).shape == (2, folder.config["architecture"]["active"])
    card = (checkpoint / "README.md").read_text()
    assert "tiny.toml" in card and "| dev, query table | " in card
    assert all(line.count("|") == 5 for line in card.splitlines() if line.startswith("|")), "a broken table"


def test_a_changed_checkpoint_is_refused(run, tmp_path):
    changed = tmp_path / "changed"
    shutil.copytree(run[1], changed)
    config = json.loads((changed / "config.json").read_text())
    config["picture"]["mean"][0] = 0.4
    (changed / "config.json").write_text(json.dumps(config))
    with pytest.raises(LexlipError, match="was changed after it was written"):
        load_checkpoint(changed)


def test_a_stopped_run_goes_on_and_ends_the_same(data_settings, tmp_path):
    settings = [*data_settings, "phase.locked.epochs=0", "phase.stage1.epochs=0", "phase.stage2.epochs=0", "phase.bag.epochs=2"]
    whole = load_recipe(TINY, [*settings, f"output={tmp_path / 'whole'}"])
    train(whole)

    class Stopped(Exception):
        pass

    def stop_after_first_epoch(line: str) -> None:
        if line.startswith("bag epoch 1"):
            raise Stopped

    parts = load_recipe(TINY, [*settings, f"output={tmp_path / 'parts'}"])
    with pytest.raises(Stopped):
        train(parts, report=stop_after_first_epoch)
    lines: list[str] = []
    train(parts, resume=True, report=lines.append)
    assert not any(line.startswith("bag epoch 1") for line in lines)
    for name in ("metrics.jsonl",):
        left, right = ((tmp_path / run / "tiny" / name).read_text().splitlines() for run in ("whole", "parts"))
        losses = [[json.loads(line)["losses"] for line in lines if "dev" in line] for lines in (left, right)]
        assert losses[0] == losses[1]


def test_a_dev_split_that_shares_training_pictures_is_refused(data_settings):
    recipe = load_recipe(TINY, [*data_settings, "data.dev=train.txt"])
    with pytest.raises(LexlipError, match="shares 31 pictures"):
        prepare(recipe, lambda _: None)


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("data.images=/nowhere", "is not a folder of pictures"),
        ("data.train=none.txt", "cannot be read: correct data.train"),
        ("data.dev=", "names no dev split"),
        ("picture.backbone=resnet_of_nobody", "timm has no backbone"),
        ("text.model=random:big", "write random:LAYERSxDIM"),
        ("picture.weights=package:nothing", "no packaged backbone"),
        ("phase.bag.rates.pictures=0.1", "has no part 'pictures'"),
        ("cache=somewhere", "a cache needs a frozen part"),
    ],
)
def test_settings_that_cannot_be_used_are_one_sentence(data_settings, tmp_path, setting, sentence):
    with pytest.raises(LexlipError) as error:
        train(load_recipe(TINY, [*data_settings, f"output={tmp_path}", setting]))
    assert sentence in str(error.value)


def test_a_run_on_cached_prefixes_learns_and_is_scored_on_test(data_settings, square_pictures, tmp_path):
    (square_pictures / "test.txt").write_text((square_pictures / "dev.txt").read_text())
    settings = [
        *data_settings,
        f"output={tmp_path}",
        f"cache={tmp_path / 'cache'}",
        "data.test=test.txt",
        "picture.frozen_blocks=2",
        "text.frozen_layers=1",
        "phase.bag.epochs=1",
        "phase.stage1.epochs=1",
    ]
    lines: list[str] = []
    checkpoint = train(load_recipe(TINY, settings), report=lines.append)
    kept = sorted("-".join(path.name.split("-")[:2]) for path in (tmp_path / "cache").glob("*.npy"))
    assert kept == [
        "dev-captions",
        "dev-view0",
        "test-captions",
        "test-view0",
        "train-captions",
        "train-view0",
        "train-view1",
        "train-view2",
    ]
    assert "left out of train: 1 pictures (broken.jpg)" in lines
    scores = ModelFolder.open(checkpoint).config["provenance"]["scores"]
    assert set(scores) == {"dev", "dev, query table", "test", "test, query table"} and scores["test"] == scores["dev"]
    model = load_checkpoint(checkpoint)
    assert model.architecture.frozen_blocks == 2 and model.text.frozen_layers == 1


def test_a_bag_alone_ends_with_a_plain_table(data_settings, tmp_path):
    recipe = load_recipe(TINY, [*data_settings, f"output={tmp_path}", "phase.bag.epochs=1"])
    checkpoint = train(replace(recipe, phase=recipe.phase[:1]))
    provenance = ModelFolder.open(checkpoint).config["provenance"]
    assert provenance["text_side"] == "bag" and provenance["table"] is None
    assert provenance["scores"]["dev"] == provenance["scores"]["dev, query table"]
    packed = ModelFolder.open(pack(checkpoint, tmp_path / "packed"))
    assert set(packed.config["files"]) == {"pictures", "table"}
    terms, _ = load_encoder(packed).encode_texts(["red square"]).row(0)
    assert set(terms.tolist()) == {packed.lexicon.id("red"), packed.lexicon.id("square")}
