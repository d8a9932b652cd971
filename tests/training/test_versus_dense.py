"""Both kinds of dense vectors that the comparison takes: our twin's and CLIP's, here of tiny models without any training."""

from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.versus.dense_encoders import Clip, Twin, load_dense
from lexlip_es.errors import LexlipError
from lexlip_es.model_folder import starter_path
from lexlip_training.build import build
from lexlip_training.checkpoint import write_checkpoint
from lexlip_training.data import load_split
from lexlip_training.recipe import load_recipe

TINY = Path(__file__).parents[2] / "training" / "configs" / "tiny.toml"

TEXTS = ["a red square", "a red square on the left of a green ground"]


@pytest.fixture(scope="module")
def pixels() -> list[np.ndarray]:
    return list(np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), np.uint8))


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

    folder = tmp_path_factory.mktemp("clip")
    letters = sorted(ByteLevel.alphabet())
    pieces = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {piece: i for i, piece in enumerate(pieces)}
    CLIPTokenizer(vocab=vocabulary, merges=[]).save_pretrained(folder)
    tower = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = {**tower, "vocab_size": len(pieces), "max_position_embeddings": 20, "eos_token_id": len(pieces) - 1}
    torch.manual_seed(0)
    config = CLIPConfig(text_config=text, vision_config={**tower, "image_size": 64, "patch_size": 32}, projection_dim=16)
    CLIPModel(config).save_pretrained(folder)
    return folder


def test_clip_gives_what_transformers_gives(clip_folder: Path, pixels: list[np.ndarray]) -> None:
    from transformers import CLIPModel
    from transformers.image_utils import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD

    clip = load_dense(str(clip_folder))
    assert isinstance(clip, Clip)
    assert (clip.origin, clip.spec.size, clip.spec.resize) == ("CLIP", 64, "crop")
    tokens = clip._tokenizer(TEXTS, padding=True, truncation=True, max_length=20, return_tensors="pt")
    scaled = [(picture / 255 - np.array(OPENAI_CLIP_MEAN)) / np.array(OPENAI_CLIP_STD) for picture in pixels]
    with torch.inference_mode():
        found = CLIPModel.from_pretrained(clip_folder)(
            **tokens, pixel_values=torch.tensor(np.stack(scaled), dtype=torch.float32).permute(0, 3, 1, 2)
        )
    assert np.allclose(clip.encode_pictures(pixels), found.image_embeds.numpy(), atol=1e-5)
    assert np.allclose(clip.encode_texts(TEXTS), found.text_embeds.numpy(), atol=1e-5)
    assert np.allclose(clip.encode_texts(TEXTS)[0], clip.encode_texts(TEXTS[:1])[0], atol=1e-5)  # whatever the padding


def test_the_twin_gives_unit_vectors_of_both_sides(tmp_path: Path, pixels: list[np.ndarray], data_settings: list[str]) -> None:
    kind = ["kind=dense", "dense_dim=16", "phase.stage1.loss.mlm=0", "phase.stage1.loss.picture_mlm=0"]
    kind.append("phase.stage1.loss.text_mlm=0")
    recipe = load_recipe(TINY, [*data_settings, *kind])
    built = build(recipe, load_split(recipe.data, "train")[0])
    folder = write_checkpoint(
        tmp_path / "twin",
        built.model,
        recipe.picture,
        recipe.text.max_tokens,
        name="twin",
        tokenizer_file=built.tokenizer_file,
        pruning={"picture_terms": 1, "query_terms": 1},
        provenance={},
        card="",
    )
    twin = load_dense(str(folder))
    assert isinstance(twin, Twin)
    assert (twin.origin, twin.spec.size) == ("dense twin", 64)
    for vectors, count in ((twin.encode_pictures(pixels), 3), (twin.encode_texts(TEXTS), 2)):
        assert vectors.shape == (count, 16)
        assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_a_checkpoint_with_a_lexicon_is_no_dense_model() -> None:
    with pytest.raises(LexlipError, match="packed for inference"):
        load_dense(str(starter_path()))


def test_what_is_no_model_is_said_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(LexlipError, match="is no CLIP model that transformers can load"):
        load_dense(str(tmp_path))
