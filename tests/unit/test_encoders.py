from pathlib import Path

import numpy as np
import pytest

from lexlip_es.demo_pictures import write_demo_pictures
from lexlip_es.encoders import load_encoder
from lexlip_es.errors import LexlipError
from lexlip_es.images import open_picture
from lexlip_es.model_folder import ModelFolder
from lexlip_es.weights import SparseWeights, prepare_documents
from tests.made_model import make_model


@pytest.fixture(scope="module")
def pixels(starter: ModelFolder, tmp_path_factory: pytest.TempPathFactory) -> list[np.ndarray]:
    """Sixteen squares: real photographs, and one of noise."""
    folder = tmp_path_factory.mktemp("pictures")
    write_demo_pictures(folder)
    opened = [open_picture(path, starter.picture_spec).pixels for path in sorted(folder.iterdir())]
    noise = np.random.default_rng(0).integers(0, 256, opened[0].shape, np.uint8)
    return [*opened, noise][:16]


def same(one: SparseWeights, other: SparseWeights) -> bool:
    return np.array_equal(one.terms, other.terms) and np.array_equal(one.weights, other.weights)


@pytest.mark.parametrize("size", [1, 7, 16])
def test_a_pictures_weights_do_not_depend_on_its_batch(starter: ModelFolder, pixels: list[np.ndarray], size: int) -> None:
    encoder = load_encoder(starter)
    whole = prepare_documents(encoder.encode_pictures(pixels), 256)
    parts = [encoder.encode_pictures(pixels[start : start + size]) for start in range(0, len(pixels), size)]
    assert same(prepare_documents(SparseWeights.concat(parts), 256), whole)


def test_a_texts_weights_do_not_depend_on_its_batch(starter: ModelFolder) -> None:
    texts = ["a dog", "a black and white dog jumps over a log in the forest", "cat", ""]
    encoder = load_encoder(starter)
    assert same(SparseWeights.concat([encoder.encode_texts([text]) for text in texts]), encoder.encode_texts(texts))


def test_the_starter_says_what_a_cat_is(starter: ModelFolder, tmp_path: Path) -> None:
    write_demo_pictures(tmp_path)
    picture = open_picture(tmp_path / "cat.png", starter.picture_spec)
    terms, _ = load_encoder(starter).encode_pictures([picture.pixels]).row(0)
    assert starter.lexicon.piece_id("cat") in terms[:16]


def test_special_and_unused_pieces_are_never_spoken(starter: ModelFolder, pixels: list[np.ndarray]) -> None:
    encoder = load_encoder(starter)
    silent = starter.lexicon.is_special | starter.lexicon.is_unused
    assert not silent[encoder.encode_pictures(pixels).terms].any()
    assert not silent[encoder.encode_texts(["[CLS] a dog [MASK] [UNK]", "[unused1]"]).terms].any()


def test_a_query_is_the_maximum_over_its_pieces_rows_and_knows_who_brought_each_term(starter: ModelFolder) -> None:
    encoder = load_encoder(starter)
    size = len(starter.lexicon)
    dog, beach = (encoder.encode_texts([word]).to_dense(size)[0] for word in ("dog", "beach"))
    both = encoder.encode_texts(["dog beach"])
    assert np.array_equal(both.to_dense(size)[0], np.maximum(dog, beach))
    origins = both.row_origins(0)
    assert origins is not None
    for term, origin in zip(both.row(0)[0], origins, strict=True):
        assert origin == (1 if dog[term] >= beach[term] else 2)  # 0 is [CLS]


def test_a_synonym_that_the_captions_never_used_still_finds_something(starter: ModelFolder) -> None:
    terms, _ = load_encoder(starter).encode_texts(["automobile"]).row(0)
    assert starter.lexicon.piece_id("car") in terms


@pytest.mark.parametrize("text", ["", " ", "😀", "\ud83d", "a" * 10_000, "dog " * 1_000, "\0", "дом", "犬"])
def test_any_text_is_encoded_without_an_error(starter: ModelFolder, text: str) -> None:
    weights = load_encoder(starter).encode_texts([text])
    assert len(weights) == 1
    assert np.isfinite(weights.weights).all()


@pytest.mark.parametrize("name", ["pictures.onnx", "query_table.safetensors"])
def test_a_damaged_file_is_refused_by_name(tmp_path: Path, name: str) -> None:
    model = make_model(tmp_path / "model")
    (model.path / name).write_bytes(b"damaged")
    encoder = load_encoder(model)
    with pytest.raises(LexlipError, match=name):
        encoder.encode_pictures([np.zeros((8, 8, 3), np.uint8)]) if name == "pictures.onnx" else encoder.encode_texts(["red"])


def test_a_side_that_a_folder_does_not_have_is_named(tmp_path: Path) -> None:
    model = make_model(tmp_path / "model")
    with pytest.raises(LexlipError, match="no text tower"):
        load_encoder(model, text="tower").encode_texts(["red"])
    (model.path / "pictures.onnx").unlink()
    with pytest.raises(LexlipError, match="no picture encoder"):
        load_encoder(model).encode_pictures([np.zeros((8, 8, 3), np.uint8)])


def test_torch_without_a_checkpoint_is_refused(tmp_path: Path) -> None:
    model = make_model(tmp_path / "model")
    with pytest.raises(LexlipError, match="packed for inference"):
        load_encoder(model, runtime="torch").encode_pictures([np.zeros((8, 8, 3), np.uint8)])
