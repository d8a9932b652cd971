"""A model card, written from the facts of the run alone."""

from collections.abc import Mapping
from typing import Any

from lexlip_training.recipe import Recipe
from lexlip_training.validating import Scores


def model_card(
    recipe: Recipe, scores: Mapping[str, Scores], provenance: Mapping[str, Any], left_out: Mapping[str, list[str]]
) -> str:
    """Markdown: what the model is, how it was trained, how well it does (`scores` by what was measured), its limits."""
    rows = "\n".join(
        f"| {name} | {_recall(found.text_to_picture)} | {_recall(found.picture_to_text)} "
        f"| {found.picture_terms:g} / {found.text_terms:g} |"
        for name, found in scores.items()
    )
    phases = "\n".join(
        f"- **{phase.name}**: {phase.epochs} epochs, text side {phase.text}, batch {phase.batch}"
        f"{', picture side locked' if phase.locked_pictures else ''}; learning rates {_rates(phase.rates)}"
        for phase in recipe.phase
    )
    dropped = sum(map(len, left_out.values()))
    return f"""# {recipe.name}

A LexLIP model (Luo et al., ICCV 2023): pictures and sentences become weighted word pieces, matched by an inverted index.

- picture tower: {recipe.picture.backbone}, start weights `{recipe.picture.weights}`, {recipe.picture.size} px
- text tower: `{recipe.text.model}`, at most {recipe.text.max_tokens} tokens
- seed {recipe.seed}; {provenance.get("train_pictures", "?")} training pictures; {dropped} listed pictures left out
- command: `{provenance.get("command", "?")}`
- versions: {", ".join(f"{name} {version}" for name, version in dict(provenance.get("versions", {})).items())}

## Data and terms
{recipe.about or "Not described by the recipe."}

Terms of use of the weights: {recipe.licence}

## Training
{phases}

## Scores
Unpruned, fp32, in memory; ties count half. Everything was chosen on dev; test only scores the finished model.
"terms" are the mean numbers of non-zero terms a picture / a caption.

| measured on | text to picture R@1 / 5 / 10, median rank | picture to text hit@1 / 5 / 10, median rank | terms |
| --- | --- | --- | --- |
{rows}

"query table" is the text side without a network (`query_table.safetensors`); the other rows use the text tower.

## Limits
{recipe.limits or "Not described by the recipe."}
"""


def _recall(found: Any) -> str:
    return f"{found.at_1:.1f} / {found.at_5:.1f} / {found.at_10:.1f}, {found.median_rank:g}"


def _rates(rates: Mapping[str, float]) -> str:
    return ", ".join(f"{part} {rate:g}" for part, rate in rates.items())
