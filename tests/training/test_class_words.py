"""The backbone's own classifier as evidence for words: which words name a class, and what a picture's logits become."""

from pathlib import Path

import pytest
import torch

from lexlip_es.errors import LexlipError
from lexlip_es.lexicon import Lexicon
from lexlip_training.build import build
from lexlip_training.class_words import CLASSES, named_terms, read_class_words, read_nouns, words_of_classes
from lexlip_training.data import load_split
from lexlip_training.export import TOLERANCE, disagreement, picture_onnx
from lexlip_training.lexlip import LexLip, without_terms
from lexlip_training.recipe import load_recipe
from lexlip_training.starter_weights import minilm_folder

CONFIGS = Path(__file__).parents[2] / "training" / "configs"


@pytest.fixture(scope="module")
def model(data_settings) -> LexLip:
    """The starter's towers with its backbone's classifier, before any training."""
    here = [setting for setting in data_settings if setting.startswith("data.")]
    splits = ['data.train="train.txt"', 'data.dev="dev.txt"', 'data.test=""']
    wanted = ["picture.class_words=true", "lexicon.neighbours=0", "picture.size=64"]
    recipe = load_recipe(CONFIGS / "starter.toml", [*splits, *here, *wanted])
    return build(recipe, load_split(recipe.data, "train")[0]).model.eval()


@pytest.fixture(scope="module")
def lexicon() -> Lexicon:
    return Lexicon.from_tokenizer(minilm_folder() / "tokenizer.json")


def test_a_class_is_named_by_what_it_is_a_kind_of():
    words = read_class_words()
    assert len(words) == CLASSES
    assert any({"missile", "rocket"} <= set(names) for names in words)
    assert any({"convertible", "car", "automobile"} <= set(names) for names in words)
    assert sum("animal" in names for names in words) < 5  # too vague to be evidence of all animals


def test_the_file_is_what_its_maker_makes_of_wordnet(tmp_path):
    noun = "{} 06 n {:02d} {} 0 {} | a gloss with words\n"
    nouns = tmp_path / "data.noun"
    nouns.write_text(
        "  1 a licence\n"
        + noun.format("00000001", 2, "dog 0 domestic_dog", "001 @ 00000002 n 0000")
        + noun.format("00000002", 1, "Canis_animal", "002 @ 00000003 n 0000 ~ 00000001 n 0000")
        + noun.format("00000003", 1, "ox", "000")
    )
    found = list(words_of_classes(read_nouns(nouns), ["n00000001", "n00000002"]))
    assert found == [["animal", "dog"], ["animal"]]  # "ox" is shorter than a word must be
    with pytest.raises(LexlipError, match="wordnet-base"):
        read_nouns(tmp_path / "none")


def test_only_words_that_the_model_speaks_are_evidence(lexicon):
    active = sorted(lexicon.piece_id(piece) for piece in ("rocket", "dog", "the"))
    named, word_of = named_terms(lexicon, active)
    spoken = {lexicon.pieces[active[i]] for i in range(3) if int(word_of[i]) < named.shape[1]}
    assert "rocket" in spoken and "the" not in spoken
    assert int(word_of.max()) == named.shape[1]  # the place of those that name nothing


def test_the_evidence_is_the_log_of_the_probability_of_all_classes_that_a_word_names(model):
    pixels = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    classes, below = model.classes, model.picture_prefix(pixels)
    with torch.no_grad():
        network = model.picture.backbone.network  # not trained yet: its last layers are the classifier's
        features = network.bn2(network.conv_head(below)).mean((2, 3))
        chances = classes.classifier(features).softmax(1)
        logits = classes(below)
        both = model.picture_logits(pixels)
    for term, word in enumerate(classes.word_of.tolist()):
        if word == classes.named.shape[1]:
            assert torch.isinf(logits[:, term]).all()
        else:
            named = chances[:, classes.named[:, word] > 0].sum(1)
            torch.testing.assert_close(logits[:, term], (named.clamp(min=1e-9) / 0.05).log(), atol=1e-3, rtol=1e-3)
    seen = torch.isfinite(logits)
    assert (both[seen] >= logits[seen]).all()  # one more position: the larger one wins


def test_training_mode_never_reaches_the_classifier(model):
    model.train()
    assert not any(part.training for part in model.classes.modules())
    model.eval()


def test_a_smaller_model_and_its_graph_keep_the_evidence(model, lexicon):
    silent = torch.zeros(len(lexicon), dtype=torch.bool)
    silent[model.active[::3]] = True
    smaller = without_terms(model, silent)
    pixels = torch.randint(0, 256, (3, 64, 64, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    kept = ~silent[model.active]
    with torch.no_grad():
        expected = smaller.picture_weights(pixels)
        torch.testing.assert_close(expected, model.picture_weights(pixels)[:, kept])
    graph = picture_onnx(smaller, 64)
    assert disagreement(graph, {"pixels": pixels.numpy()}, expected.numpy(), smaller.active.numpy()) < TOLERANCE


def test_a_backbone_without_its_classifier_is_refused(data_settings):
    here = [setting for setting in data_settings if setting.startswith("data.")]
    recipe = load_recipe(CONFIGS / "tiny.toml", [*here, "picture.class_words=true"])
    with pytest.raises(LexlipError, match=r"packaged backbone|frozen"):
        build(recipe, load_split(recipe.data, "train")[0])
