import json
from pathlib import Path

import pytest

from lexlip_es.errors import LexlipError
from lexlip_es.model_folder import ModelFolder, file_sha256, model_identity, open_model, starter_path
from tests.made_model import make_model

CONFIG = {"format": 1, "picture": {"size": 224}, "text": {"max_tokens": 40}, "architecture": {"a": 1}}


@pytest.mark.parametrize("changed", ["picture", "text", "architecture"])
def test_the_identity_changes_with_what_decides_the_answers(changed: str) -> None:
    assert model_identity(CONFIG, "w", "v") != model_identity(CONFIG | {changed: {"other": 1}}, "w", "v")


def test_the_identity_depends_on_weights_and_vocabulary_and_not_on_pruning_or_files() -> None:
    one = model_identity(CONFIG, "w", "v")
    assert one != model_identity(CONFIG, "w2", "v") != model_identity(CONFIG, "w", "v2")
    assert one == model_identity(CONFIG | {"pruning": {"picture_terms": 1}, "files": {"x": 1}, "name": "y"}, "w", "v")


def test_the_identity_does_not_depend_on_the_order_of_keys() -> None:
    assert model_identity(CONFIG, "w", "v") == model_identity(dict(reversed(CONFIG.items())), "w", "v")


def test_the_shipped_files_are_those_that_its_config_names(starter: ModelFolder) -> None:
    for role, entry in starter.config["files"].items():
        path = starter.file(role)
        assert path is not None
        assert file_sha256(path) == entry["sha256"]


def test_the_shipped_model_tells_its_data_terms_and_scores() -> None:
    card = (starter_path() / "README.md").read_text()
    for fact in ("Flickr8k", "research", "Hodosh", "seed", "R@1"):
        assert fact in card
    assert "research" in (starter_path() / "MODEL_LICENSE").read_text()


def test_the_model_to_use_is_the_option_then_the_environment_then_the_starter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = make_model(tmp_path / "one", seed="1"), make_model(tmp_path / "other", seed="2")
    monkeypatch.delenv("LEXLIP_ES_MODEL", raising=False)
    assert open_model().path == starter_path()
    monkeypatch.setenv("LEXLIP_ES_MODEL", str(one.path))
    assert open_model().identity == one.identity
    assert open_model(other.path).identity == other.identity


def test_a_vocabulary_that_is_not_the_models_is_refused(tmp_path: Path) -> None:
    model = make_model(tmp_path / "model")
    tokenizer = json.loads(model.tokenizer_path.read_text())
    vocabulary = tokenizer["model"]["vocab"]
    vocabulary["dog"], vocabulary["cat"] = vocabulary["cat"], vocabulary["dog"]
    model.tokenizer_path.write_text(json.dumps(tokenizer))
    with pytest.raises(LexlipError, match="not the vocabulary of model colours"):
        _ = ModelFolder.open(model.path).lexicon


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (None, "not a model folder"),
        ("[", "not a model folder"),
        ("{}", "lacks format"),
        ("[1]", "lacks format"),
        (99, "format 99"),
    ],
)
def test_what_is_no_model_folder_is_refused_in_a_sentence(tmp_path: Path, config: object, said: str) -> None:
    model = make_model(tmp_path / "model")
    path = model.path / "config.json"
    if config is None:
        path.unlink()
    else:
        path.write_text(config if isinstance(config, str) else json.dumps(dict(model.config) | {"format": config}))
    with pytest.raises(LexlipError, match=said):
        ModelFolder.open(model.path)
