"""The end of a run: the query table is chosen on dev, the test split is scored once, the checkpoint folder is written."""

import importlib.metadata
import platform
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lexlip_training.card import model_card
from lexlip_training.checkpoint import write_checkpoint
from lexlip_training.lexlip import LexLip, without_terms
from lexlip_training.pieces import function_words
from lexlip_training.setting import Setting
from lexlip_training.table import Table, TableSettings, plain_table, tower_rows, tower_table
from lexlip_training.validating import Gallery, Scores, encode_captions, encode_pictures, score_rows, validate

Report = Callable[[str], None]
_VERSIONS = ("torch", "timm", "transformers", "accelerate", "numpy", "pillow")
_PRUNING = {"picture_terms": 64, "query_terms": 32}


def finish(setting: Setting, folder: Path, report: Report, command: Sequence[str]) -> Path:
    """Score the finished model and write its checkpoint folder; returns the folder."""
    recipe = setting.recipe
    if recipe.kind == "dense":
        return _write(setting, folder, _dense_scores(setting, report), None, report, command)
    if recipe.lexicon.drop_function_words:
        silent = torch.from_numpy(function_words(setting.built.lexicon))
        setting.built = replace(setting.built, model=without_terms(setting.built.model, silent))
    model = setting.built.model.eval()
    pictures, rows = encode_pictures(model, setting.dev)
    table, settings = choose_table(setting, pictures, rows, report)
    scores = _scores("dev", model, setting.dev, (pictures, rows), recipe.phase[-1].text, table)
    if recipe.data.test:
        test = setting.gallery("test", report)
        scores |= _scores("test", model, test, encode_pictures(model, test), recipe.phase[-1].text, table)
    return _write(setting, folder, scores, settings, report, command)


def _dense_scores(setting: Setting, report: Report) -> dict[str, Scores]:
    model = setting.built.model
    scores = {"dev": validate(model, setting.dev, "tower")}
    if setting.recipe.data.test:
        scores["test"] = validate(model, setting.gallery("test", report), "tower")
    return scores


def _write(
    setting: Setting,
    folder: Path,
    scores: dict[str, Scores],
    settings: TableSettings | None,
    report: Report,
    command: Sequence[str],
) -> Path:
    recipe, model = setting.recipe, setting.built.model
    for name, found in scores.items():
        report(f"{name}: text to picture {found.text_to_picture}; picture to text {found.picture_to_text}")
    facts = provenance(setting, scores, settings, command)
    return write_checkpoint(
        folder,
        model,
        recipe.picture,
        recipe.text.max_tokens,
        name=recipe.name,
        tokenizer_file=setting.built.tokenizer_file,
        pruning=_PRUNING,
        provenance=facts,
        card=model_card(recipe, scores, facts, setting.left_out),
    )


def choose_table(setting: Setting, pictures: Tensor, rows: list[int], report: Report) -> tuple[Table, TableSettings | None]:
    """The query table with the best R@1 + R@5 + R@10 on dev, and its settings; for a bag the plain table, without settings."""
    recipe, model, vocabulary = setting.recipe, setting.built.model, len(setting.built.lexicon)
    if recipe.phase[-1].text == "bag":
        return plain_table(model, vocabulary), None
    answers = tower_rows(model, setting.built.lexicon, recipe.table.terms)
    best: tuple[float, Table, TableSettings] | None = None
    for damping in recipe.table.damping:
        settings = TableSettings(recipe.table.terms, damping)
        table = tower_table(model, answers, settings, vocabulary)
        found = score_rows(pictures, rows, table.encode(setting.dev.pieces, pictures.shape[1]), setting.dev.split)
        report(f"query table, damping {damping:g}: dev {found.text_to_picture}")
        if best is None or found.total > best[0]:
            best = (found.total, table, settings)
    assert best is not None  # a recipe names at least one factor
    return best[1], best[2]


def _scores(
    name: str, model: LexLip, gallery: Gallery, encoded: tuple[Tensor, list[int]], side: Any, table: Table
) -> dict[str, Scores]:
    pictures, rows = encoded
    tower = score_rows(pictures, rows, encode_captions(model, gallery, side), gallery.split)
    looked_up = score_rows(pictures, rows, table.encode(gallery.pieces, pictures.shape[1]), gallery.split)
    return {name: tower, f"{name}, query table": looked_up}


def provenance(
    setting: Setting, scores: dict[str, Scores], table: TableSettings | None, command: Sequence[str]
) -> dict[str, Any]:
    """Where a model comes from: data, seed, command, versions, scores, licence, and how its query table is made."""
    recipe = setting.recipe
    return {
        "data": {"train": recipe.data.train or "all captioned pictures", "dev": recipe.data.dev, "test": recipe.data.test},
        "about": recipe.about,
        "train_pictures": len(setting.train.split),
        "left_out": {name: len(files) for name, files in setting.left_out.items()},
        "text_side": recipe.phase[-1].text,
        "table": None if table is None else table.to_config(),
        "seed": recipe.seed,
        "command": " ".join(_without_folders(part) for part in command),
        "versions": {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in _VERSIONS},
        "scores": {name: found.to_dict() for name, found in scores.items()},
        "licence": recipe.licence,
    }


def _without_folders(argument: str) -> str:
    """An argument as a card may show it: `data.images=/home/ann/flickr/images` says `data.images=images`."""
    name, equals, value = argument.rpartition("=")
    return name + equals + (Path(value).name if Path(value).is_absolute() else value)
