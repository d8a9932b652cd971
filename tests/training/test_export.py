"""ONNX files agree with torch; smaller ones only ever shrink weights; a packed folder keeps its identity."""

import json

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from lexlip_es.encoders import load_encoder
from lexlip_es.images import open_picture
from lexlip_es.model_folder import ModelFolder, file_sha256
from lexlip_es.weights import prepare_documents
from lexlip_training.checkpoint import load_checkpoint
from lexlip_training.export import disagreement, picture_onnx, quantise, shrink, text_onnx
from lexlip_training.pack import pack


@pytest.fixture(scope="module")
def model(tiny_run):
    torch.set_num_threads(1)
    return load_checkpoint(tiny_run[1])


@pytest.fixture(scope="module")
def graph(model):
    return picture_onnx(model, 64)


def session(graph):
    return onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])


def pixels(count):
    return np.random.default_rng(0).integers(0, 256, (count, 64, 64, 3), np.uint8)


def test_pictures_agree_with_torch_at_any_batch_size(model, graph):
    for count in (1, 7):
        with torch.no_grad():
            dense = model.picture_weights(torch.from_numpy(pixels(count))).numpy()
        assert disagreement(graph, {"pixels": pixels(count)}, dense, model.active.numpy()) < 1e-4
        terms, weights = session(graph).run(None, {"pixels": pixels(count)})
        assert terms.dtype == np.int64 and terms.shape == (count, min(256, model.architecture.active))
        assert weights.dtype == np.float32 and (np.diff(weights) <= 0).all()


def test_a_graph_that_says_something_else_is_noticed(model, graph):
    with torch.no_grad():
        dense = model.picture_weights(torch.from_numpy(pixels(2))).numpy()
    active = model.active.numpy()
    assert disagreement(graph, {"pixels": pixels(2)}, dense + np.float32(0.01), active) == pytest.approx(0.01, abs=1e-3)
    assert disagreement(graph, {"pixels": pixels(2)}, np.roll(dense, 1, axis=1), active) > 1e-4


def test_texts_agree_with_torch_padded_or_not(model):
    ids = torch.tensor([[101, 2417, 2675, 2006, 102], [101, 2630, 102, 0, 0]])
    mask = (ids > 0).long()
    terms, weights, origins = session(text_onnx(model)).run(None, {"ids": ids.numpy(), "mask": mask.numpy()})
    with torch.no_grad():
        logits, where = model.text_logits(ids, mask > 0)
    feeds = {"ids": ids.numpy(), "mask": mask.numpy()}
    assert disagreement(text_onnx(model), feeds, torch.log1p(logits.relu()).numpy(), model.active.numpy()) < 1e-4
    places = model.place_of[torch.from_numpy(terms)]
    spoken = weights > 0
    assert (where.gather(1, places).numpy()[spoken] == origins[spoken]).mean() > 0.98  # a tie may go either way


def test_the_graph_is_opset_17_and_reads_bytes(graph):
    assert graph.opset_import[0].version == 17
    assert graph.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8


def test_int8_has_one_scale_a_channel_and_a_small_error():
    weights = np.random.default_rng(0).normal(size=(30, 40)).astype(np.float32) * np.logspace(-3, 0, 40, dtype=np.float32)
    quantised, scale = quantise(weights)
    assert quantised.dtype == np.int8 and scale.shape == (1, 40)  # columns differ in size, so they get the scales
    assert (np.abs(quantised * scale - weights) <= scale / 2 + 1e-9).all()
    kernel = np.random.default_rng(0).normal(size=(8, 4, 3, 3)).astype(np.float32)
    assert quantise(kernel)[1].shape == (8, 1, 1, 1)
    assert not quantise(np.zeros((3, 3), np.float32))[0].any()


@pytest.mark.parametrize(("precision", "least"), [("fp16 weights", 0.9999), ("int8 weights", 0.99)])
def test_smaller_files_say_nearly_the_same(graph, precision, least):
    small = shrink(graph, precision)
    assert small.ByteSize() < graph.ByteSize() * (0.8 if precision == "fp16 weights" else 0.7)
    assert not any("Quantize" in node.op_type for node in small.graph.node), "no activation is quantised"
    dense = []
    for file in (graph, small):
        terms, weights = session(file).run(None, {"pixels": pixels(4)})
        rows = np.zeros((4, 30522), np.float32)
        np.put_along_axis(rows, terms, weights, 1)
        dense.append(rows / np.linalg.norm(rows, axis=1, keepdims=True))
    assert (dense[0] * dense[1]).sum(1).min() > least


@pytest.fixture(scope="module")
def packed(tiny_run, tmp_path_factory):
    recipe, checkpoint, *_ = tiny_run
    lines: list[str] = []
    out = pack(checkpoint, tmp_path_factory.mktemp("packed") / "tiny", data=recipe.data, report=lines.append)
    return ModelFolder.open(out), lines


def test_a_packed_folder_is_the_same_model(tiny_run, packed):
    folder, _ = packed
    assert folder.identity == ModelFolder.open(tiny_run[1]).identity and not folder.has_checkpoint
    for entry in folder.config["files"].values():
        assert file_sha256(folder.path / entry["name"]) == entry["sha256"]
    assert set(folder.config["files"]) == {"pictures", "table", "texts"}
    assert "a test's" in (folder.path / "MODEL_LICENSE").read_text()
    assert "## Packed files" in (folder.path / "README.md").read_text()


def test_a_smaller_file_is_kept_only_within_three_tenths_of_a_point(packed):
    for role in ("pictures", "texts"):
        entry = packed[0].config["files"][role]
        judged = entry["dev_recall_at_10"]
        assert judged[entry["precision"]] >= judged["fp32"] - 0.3
    assert any("pictures.onnx, int8 weights" in line for line in packed[1])


def test_the_table_and_the_tower_speak_vocabulary_ids(packed):
    folder, _ = packed
    red = folder.lexicon.id("red")
    by_table = load_encoder(folder, text="table").encode_texts(["a red square"])
    assert red in by_table.row(0)[0][:5]
    by_tower = load_encoder(folder, text="tower").encode_texts(["a red square"])
    assert red in by_tower.row(0)[0] and set(by_tower.origins.tolist()) <= set(range(5))


def test_a_pictures_terms_do_not_depend_on_its_batch(packed, square_pictures):
    folder, _ = packed
    files = sorted((square_pictures / "images").glob("*.png"))[:16]
    opened = [open_picture(path, folder.picture_spec).pixels for path in files]
    encoder = load_encoder(folder)
    alone = prepare_documents(encoder.encode_pictures(opened[:1]), 64).row(0)
    for count in (7, 16):
        together = prepare_documents(encoder.encode_pictures(opened[:count]), 64).row(0)
        assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))


def test_the_checkpoint_and_the_packed_folder_encode_alike(tiny_run, packed, square_pictures):
    opened = [
        open_picture(path, packed[0].picture_spec).pixels for path in sorted((square_pictures / "images").glob("*.png"))[:3]
    ]
    by_torch = load_encoder(ModelFolder.open(tiny_run[1]), runtime="torch").encode_pictures(opened)
    by_onnx = load_encoder(packed[0]).encode_pictures(opened)
    for row in range(3):
        a, b = (dict(zip(*map(np.ndarray.tolist, batch.row(row)), strict=True)) for batch in (by_torch, by_onnx))
        top = sorted(a, key=a.__getitem__)[-10:]
        assert [a[term] for term in top] == pytest.approx([b.get(term, 0.0) for term in top], rel=0.1)


def test_without_dev_data_weights_are_kept_in_half_precision(tiny_run, tmp_path):
    out = pack(tiny_run[1], tmp_path / "out", max_megabytes=1.0)
    files = json.loads((out / "config.json").read_text())["files"]
    assert files["pictures"]["precision"] == "fp16 weights" and "texts" not in files and not (out / "texts.onnx").exists()
