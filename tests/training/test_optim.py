"""Learning rates by part, decay, warm-up."""

import pytest
import torch

from lexlip_es.errors import UsageError
from lexlip_training.lexlip import Architecture, LexLip
from lexlip_training.optim import make_optimizer, parameter_groups, rate_of, schedule, set_rates
from lexlip_training.recipe import LossRecipe, PhaseRecipe
from lexlip_training.student import Student

BERT = {
    "model_type": "bert",
    "vocab_size": 60,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 1,
    "intermediate_size": 32,
}


@pytest.fixture
def model():
    architecture = Architecture("test_efficientnet", 2, "all", BERT, 1, True, "shared", 20, 60)
    return LexLip(architecture, [0.5] * 3, [0.5] * 3)


def test_the_longest_part_gives_the_rate():
    rates = {"picture": 1.0, "picture.backbone": 2.0, "picture_head.bias": 3.0}
    names = ("picture.norm.weight", "picture.backbone.network.conv_head.weight", "picture_head.bias", "picture_head.dense.bias")
    assert [rate_of(name, rates) for name in names] == [1.0, 2.0, 3.0, 0.0]


def test_biases_layer_norms_and_scalars_do_not_decay(model):
    groups = parameter_groups(Student(model, PhaseRecipe("p", 1)), {"picture": 1e-3, "text": 1e-4, "copy": 1e-2}, 0.01)
    named = {id(parameter): name for name, parameter in model.named_parameters()}
    decaying = {named[id(p)] for group in groups if group["weight_decay"] for p in group["params"]}
    steady = {named[id(p)] for group in groups if not group["weight_decay"] for p in group["params"]}
    assert "picture.projection.weight" in decaying and "text.encoder.encoder.layer.1.output.dense.weight" in decaying
    assert {"picture.projection.bias", "picture.norm.weight", "copy"} <= steady
    assert not any(name.endswith("bias") or "norm" in name.lower() for name in decaying)


def test_parts_without_a_rate_and_parts_below_the_cut_stand_still(model):
    groups = parameter_groups(Student(model, PhaseRecipe("p", 1)), {"picture": 1e-3, "text": 1e-4}, 0.01)
    training = {id(p) for group in groups for p in group["params"]}
    for name, parameter in model.named_parameters():
        below = name.startswith(
            (
                "picture.backbone.network.conv_stem",
                "picture.backbone.network.bn1",
                "picture.backbone.network.blocks.0.",
                "picture.backbone.network.blocks.1.",
                "text.encoder.embeddings",
                "text.encoder.encoder.layer.0.",
            )
        )
        expected = name.startswith(("picture.", "text.")) and not below
        assert (id(parameter) in training) == expected == parameter.requires_grad, name


def test_a_part_that_is_not_there_is_named(model):
    with pytest.raises(UsageError, match="no part 'pictures'"):
        parameter_groups(Student(model, PhaseRecipe("p", 1)), {"pictures": 1e-3}, 0.01)


def test_a_bottleneck_decoder_that_would_not_learn_is_refused(model):
    student = Student(model, PhaseRecipe("p", 1, loss=LossRecipe(picture_mlm=1.0)))
    with pytest.raises(UsageError, match="a rate for 'bottleneck'"):
        parameter_groups(student, {"picture": 1e-3}, 0.01)
    groups = parameter_groups(student, {"picture": 1e-3, "bottleneck": 1e-3}, 0.01)
    training = {id(p) for group in groups for p in group["params"]}
    assert all(id(parameter) in training for parameter in student.decoder.parameters())


def test_warm_up_is_linear_and_so_is_the_decay():
    factors = [schedule(step, 100, 0.1) for step in range(100)]
    assert factors[0] == pytest.approx(0.1) and factors[4] == pytest.approx(0.5) and factors[9] == pytest.approx(1.0)
    assert factors[55] == pytest.approx(45 / 90) and factors[99] == pytest.approx(1 / 90)
    assert max(factors) <= 1.0 and schedule(0, 3, 0.1) == 1.0


def test_rates_scale_from_their_peak(model):
    optimizer = make_optimizer(parameter_groups(Student(model, PhaseRecipe("p", 1)), {"picture": 1e-3, "copy": 1e-2}, 0.01))
    set_rates(optimizer, 0.5)
    set_rates(optimizer, 0.25)
    assert sorted({group["lr"] for group in optimizer.param_groups}) == [2.5e-4, 2.5e-3]
    assert isinstance(optimizer, torch.optim.AdamW)
