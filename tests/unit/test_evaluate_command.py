"""`lexlip-es evaluate` as a person runs it, on made pictures and a made model that knows three colours."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from lexlip_es.cli.evaluate import evaluate
from lexlip_es.errors import UsageError
from tests.made_model import COLOURS, make_model

Evaluate = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("photos")
    captions, labels = ["image,caption"], ["image,label"]
    for colour, shade in zip((*COLOURS, "red"), ("red", "lime", "blue", "#f00001"), strict=True):
        name = f"{colour}{len(labels)}.png"
        Image.new("RGB", (8, 8), shade).save(root / name)
        captions += [f"{name},something {colour}", f"{name},a {colour} picture"]
        labels.append(f"{name},{colour}")
    (root / "captions.csv").write_text("\n".join([*captions, "lost.png,something red"]))
    (root / "labels.csv").write_text("\n".join([*labels, "lost.png,purple"]))
    make_model(root / "model")
    return root


@pytest.fixture(scope="module")
def evaluated(root: Path) -> Evaluate:
    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        whole = [sys.executable, "-m", "lexlip_es.cli", "evaluate", "--images", root, "--model", root / "model", *arguments]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        return subprocess.run([str(part) for part in whole], env=environment, capture_output=True, text=True, timeout=120)

    return run


def test_search_is_measured_with_intervals_sparsity_drift_and_curve(evaluated: Evaluate, root: Path) -> None:
    done = evaluated("--captions", root / "captions.csv", "--curve", "--bootstrap", "50", "--json")
    assert done.returncode == 0, done.stderr
    assert "1 captioned pictures are not under" in done.stderr
    answer = json.loads(done.stdout)
    to_picture, to_text = answer["memory"]["text_to_picture"], answer["memory"]["picture_to_text"]
    # Red texts find two red pictures; the purer one, which holds no blue, is the first for all four of them.
    assert (to_picture["measure"], to_picture["at_1"], to_picture["at_5"]) == ("R@k", 75.0, 100.0)
    assert (to_text["measure"], to_text["hit_at_5"]) == ("Success@k", 100.0)
    assert "at_1" not in to_text
    assert set(to_text["interval_95"]) == {"hit_at_1", "hit_at_5", "hit_at_10", "median_rank"}
    low, high = to_picture["interval_95"]["at_1"]
    assert low <= 75 <= high
    assert answer["sparsity"]["pruned"]["text_non_zeros"] == 1.0
    assert answer["drift"]["stop_word"] == {}
    assert next(iter(answer["drift"]["most_carried"])) == "red"
    assert len(answer["curve"]) == 12
    assert answer["curve"][0]["text_to_picture"]["at_1"] == 75.0


def test_classification_takes_the_labels_as_queries(evaluated: Evaluate, root: Path) -> None:
    done = evaluated("--labels", root / "labels.csv", "--template", "a photo of a {}", "--json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert (answer["classes"], answer["template"]) == (4, "a photo of a {}")
    found = answer["zero_shot"]
    assert (found["top_1"], found["mean_per_class"]) == (100.0, 100.0)
    assert found["interval_95"]["top_1"] == [100.0, 100.0]
    purple = {"label": "purple", "pictures": 0, "top_1": 0.0, "top_5": 0.0, "query_terms": 0}
    assert found["per_class"][2] == purple


def test_people_read_tables(evaluated: Evaluate, root: Path) -> None:
    search = evaluated("--captions", root / "captions.csv", "--bootstrap", "0").stdout
    assert "memory  text to picture  R@k      75.0   100.0  100.0   1.0" in search.splitlines()
    assert "hit@k" in search
    assert "intervals" not in search
    classification = evaluated("--labels", root / "labels.csv").stdout
    assert "zero-shot  100.0 [100.0, 100.0]" in classification
    assert "classes that this model has no term for: purple" in classification


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "needs one of --captions FILE .* and --labels FILE"),
        ({"captions": Path("c"), "labels": Path("l")}, "needs one of"),
        ({"labels": Path("l"), "engine": True}, "give --captions FILE"),
        ({"labels": Path("l"), "curve": True}, "give --captions FILE"),
        ({"captions": Path("c"), "template": "a {}"}, "give --labels FILE"),
    ],
)
def test_options_that_do_not_fit_are_refused_in_one_sentence(options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        evaluate(Path("photos"), **options)  # type: ignore[arg-type]


def test_a_template_without_a_place_for_the_name_ends_with_the_code_of_usage(evaluated: Evaluate, root: Path) -> None:
    done = evaluated("--labels", root / "labels.csv", "--template", "a photo")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == "lexlip-es: the template 'a photo' has no {}: write {} where the class name goes."
