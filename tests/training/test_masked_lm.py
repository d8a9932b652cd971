"""The trap of a BERT file without its tied decoder matrix, and other ways in which a text model comes."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertForMaskedLM, BertModel

from lexlip_es.errors import LexlipError
from lexlip_training.masked_lm import encoder_from_config, head_from_state, load_text, portable_config
from lexlip_training.starter_weights import BACKBONES, by_tensor_order, minilm_folder, packaged_backbone
from tests.training.test_optim import BERT

DECODER = "cls.predictions.decoder.weight"


@pytest.fixture
def masked_lm(tmp_path):
    model = BertForMaskedLM(BertConfig(**{k: v for k, v in BERT.items() if k != "model_type"}))
    torch.nn.init.normal_(model.cls.predictions.transform.dense.weight)
    model.save_pretrained(tmp_path)
    shutil.copy(minilm_folder() / "tokenizer.json", tmp_path)
    return tmp_path, model


def rewrite(folder, change):
    state = load_file(folder / "model.safetensors")
    change(state)
    save_file(state, folder / "model.safetensors")


def test_a_missing_decoder_is_the_word_embedding_matrix(masked_lm):
    folder, model = masked_lm
    rewrite(folder, lambda state: state.pop(DECODER, None))
    loaded = load_text(str(folder))
    assert loaded.head is not None
    torch.testing.assert_close(loaded.head.decoder, model.bert.embeddings.word_embeddings.weight)
    torch.testing.assert_close(loaded.head.dense_weight, model.cls.predictions.transform.dense.weight)


def test_a_decoder_of_its_own_is_kept(masked_lm):
    folder, _ = masked_lm
    rewrite(folder, lambda state: state.update({DECODER: torch.full((60, 32), 7.0)}))
    assert float(load_text(str(folder)).head.decoder.mean()) == 7.0


def test_the_encoder_is_loaded_whole(masked_lm):
    folder, model = masked_lm
    loaded = load_text(str(folder)).encoder.state_dict()
    for name, tensor in model.bert.state_dict().items():
        torch.testing.assert_close(loaded[name], tensor)


def test_a_configuration_travels_without_the_place_it_was_read_from(masked_lm):
    folder, _ = masked_lm
    encoder = load_text(str(folder)).encoder
    config = portable_config(encoder)
    assert str(folder) not in json.dumps(config) and "transformers_version" not in config
    again = encoder_from_config(config)
    assert {name: tensor.shape for name, tensor in again.state_dict().items()} == {
        name: tensor.shape for name, tensor in encoder.state_dict().items()
    }


def test_a_missing_encoder_tensor_is_an_error_not_a_random_one(masked_lm):
    folder, _ = masked_lm
    rewrite(folder, lambda state: state.pop("bert.encoder.layer.1.output.dense.weight"))
    with pytest.raises(LexlipError, match="does not hold all weights"):
        load_text(str(folder))


def test_an_encoder_without_a_head_has_none(tmp_path):
    BertModel(BertConfig(**{k: v for k, v in BERT.items() if k != "model_type"}), add_pooling_layer=False).save_pretrained(
        tmp_path
    )
    assert load_text(str(tmp_path)).head is None
    assert head_from_state({"embeddings.word_embeddings.weight": torch.zeros(2, 2)}) is None


def test_a_folder_that_is_no_model_is_named(tmp_path):
    with pytest.raises(LexlipError, match="is not a text model"):
        load_text(str(tmp_path))


def test_packaged_efficientnet_fits_timm_and_is_kept_as_safetensors(tmp_path):
    import timm

    network = timm.create_model("tf_efficientnet_lite0", num_classes=0)
    state = packaged_backbone("efficientnet-lite0", network, tmp_path)
    assert [path.suffix for path in tmp_path.iterdir()] == [".safetensors"]
    result = network.load_state_dict(state, strict=False)
    assert not result.unexpected_keys and all(name.endswith("num_batches_tracked") for name in result.missing_keys)
    again = packaged_backbone("efficientnet-lite0", network, tmp_path)
    torch.testing.assert_close(again["conv_stem.weight"], state["conv_stem.weight"])


def test_a_changed_weight_file_is_refused(tmp_path, monkeypatch):
    from dataclasses import replace

    monkeypatch.setitem(BACKBONES, "efficientnet-lite0", replace(BACKBONES["efficientnet-lite0"], sha256="0" * 64))
    with pytest.raises(LexlipError, match="is not the weight file that this version knows"):
        packaged_backbone("efficientnet-lite0", torch.nn.Linear(1, 1), tmp_path)


def test_tensors_that_do_not_fit_in_order_are_refused():
    with pytest.raises(LexlipError, match="do not fit"):
        by_tensor_order({"a": torch.zeros(2, 2), "b": torch.zeros(3)}, torch.nn.Linear(2, 2))
