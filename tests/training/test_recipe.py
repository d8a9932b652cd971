"""Recipes: what is misspelt or of the wrong kind is refused, with a hint."""

from pathlib import Path

import pytest

from lexlip_es.errors import UsageError
from lexlip_training.recipe import load_recipe

MINIMAL = 'name = "x"\n[[phase]]\nname = "first"\nepochs = 1\n'
CONFIGS = Path(__file__).parents[2] / "training" / "configs"


@pytest.fixture
def write(tmp_path):
    def written(text: str) -> Path:
        path = tmp_path / "recipe.toml"
        path.write_text(text)
        return path

    return written


@pytest.mark.parametrize("name", [path.name for path in CONFIGS.glob("*.toml")])
def test_every_shipped_recipe_loads_and_names_no_place(name):
    recipe = load_recipe(CONFIGS / name)
    assert recipe.data.images == "" and recipe.data.captions == ""


def test_defaults_fill_what_is_left_out(write):
    recipe = load_recipe(write(MINIMAL))
    assert recipe.picture.size == 224 and recipe.phase[0].loss.temperature == 0.05


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        (MINIMAL + "[picture]\nbackbon = 'x'\n", "unknown key 'picture.backbon': did you mean 'backbone'?"),
        (MINIMAL + "epoch = 3\n", "did you mean 'epochs'?"),
        (MINIMAL + "[phase.loss]\nflop_picture = 1\n", "did you mean 'flops_picture'?"),
        (MINIMAL + "[picture]\nsize = 'big'\n", "'picture.size' is 'big'"),
        (MINIMAL + "[picture]\npositions = 'some'\n", "choose one of all, mean+all, pooled"),
        (MINIMAL + "[picture]\nmean = 0.5\n", "'picture.mean' is 0.5"),
        (MINIMAL + "[phase.rates]\npicture = 'fast'\n", "'phase[0].rates.picture' is 'fast'"),
        ("name = 'x'\nphase = []\n", "needs [[phase]] entries"),
        (MINIMAL + "[[phase]]\nname = 'first'\nepochs = 1\n", "a name of its own"),
        ("name = 'x'\n[[phase]]\nname = 'a'\n", "lacks 'phase[0].epochs'"),
        ("name = ", "not valid TOML"),
    ],
)
def test_a_wrong_recipe_is_one_sentence(write, text, hint):
    with pytest.raises(UsageError) as error:
        load_recipe(write(text))
    assert hint in str(error.value)


def test_overrides_take_toml_values_and_bare_words(write):
    recipe = load_recipe(
        write(MINIMAL),
        ["data.images=/photos/of mine", "seed=7", "phase.first.epochs=2", "phase.first.loss.flops_text=0.5", 'precision="bf16"'],
    )
    assert (recipe.data.images, recipe.seed, recipe.precision) == ("/photos/of mine", 7, "bf16")
    assert (recipe.phase[0].epochs, recipe.phase[0].loss.flops_text) == (2, 0.5)


@pytest.mark.parametrize(
    ("override", "hint"),
    [
        ("seed", "part.key=value"),
        ("phase.last.epochs=2", "has no phase 'last': it has first"),
        ("name.first=2", "plain value"),
        ("sed=2", "did you mean 'seed'?"),
    ],
)
def test_a_wrong_override_is_one_sentence(write, override, hint):
    with pytest.raises(UsageError) as error:
        load_recipe(write(MINIMAL), [override])
    assert hint in str(error.value)


def test_a_missing_recipe_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"none\.toml cannot be read"):
        load_recipe(tmp_path / "none.toml")
