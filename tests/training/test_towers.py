"""Towers: any timm backbone, any cut; text towers with and without one; the bag of pieces."""

import pytest
import torch

from lexlip_es.errors import LexlipError
from lexlip_training.lexlip import LexLip
from lexlip_training.masked_lm import encoder_from_config
from lexlip_training.towers import Backbone, BagOfPieces, PictureTower, TextTower, in_length_groups
from tests.training.test_optim import BERT, model  # noqa: F401


@pytest.mark.parametrize("name", ["test_efficientnet", "test_vit", "test_resnet", "test_convnext"])
def test_any_timm_backbone_gives_positions(name):
    backbone = Backbone(name).eval()
    size = 160 if name == "test_vit" else 64
    places = backbone(backbone.prefix(torch.randn(2, 3, size, size)))
    assert places.dim() == 3 and places.shape[0] == 2 and places.shape[2] == backbone.width


@pytest.mark.parametrize("frozen", [-1, 0, 1, 2])
def test_the_cut_changes_nothing_but_what_trains(frozen):
    whole, cut = Backbone("test_efficientnet").eval(), Backbone("test_efficientnet", frozen).eval()
    cut.load_state_dict(whole.state_dict())
    pixels = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(cut(cut.prefix(pixels)), whole(whole.prefix(pixels)))
    assert bool(cut.frozen_parameters()) == (frozen != 0)


@pytest.mark.parametrize(("name", "frozen"), [("test_vit", 2), ("test_efficientnet", 99)])
def test_an_impossible_cut_is_refused(name, frozen):
    with pytest.raises(LexlipError, match="frozen"):
        Backbone(name, frozen)


def test_batch_normalisation_keeps_its_statistics():
    tower = PictureTower(Backbone("test_efficientnet"), 16).train()
    before = [buffer.clone() for buffer in tower.backbone.network.buffers()]
    tower(torch.randn(4, 3, 64, 64))
    assert all(torch.equal(a, b) for a, b in zip(before, tower.backbone.network.buffers(), strict=True))


@pytest.mark.parametrize(("positions", "extra"), [("all", 0), ("mean+all", 1), ("pooled", None)])
def test_positions_are_places_their_mean_or_one_pooled(positions, extra):
    backbone = Backbone("test_efficientnet")
    tower = PictureTower(backbone, 16, positions).eval()
    places = backbone(torch.randn(2, 3, 64, 64))
    backbone.forward = lambda _: places
    hidden = tower(places)
    if extra is None:
        pooled = places.mean(1) + places.amax(1) / 2
        torch.testing.assert_close(hidden[:, 0], tower.norm(tower.projection(pooled)))
    else:
        assert hidden.shape[1] == places.shape[1] + extra
        torch.testing.assert_close(hidden[:, extra:], tower.norm(tower.projection(places)))


def test_dropout_drops_a_channel_at_all_positions():
    tower = PictureTower(Backbone("test_efficientnet"), 16, "all", dropout=0.5).train()
    seen = []
    tower.projection.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    tower.backbone.forward = lambda _: torch.ones(3, 5, tower.backbone.width)
    tower(torch.zeros(3))
    assert torch.equal(seen[0], seen[0][:, :1].expand_as(seen[0]))
    assert set(seen[0].unique().tolist()) == {0.0, 2.0}


@pytest.fixture
def batch():
    ids = torch.randint(5, 60, (4, 6))
    mask = torch.arange(6)[None] < torch.tensor([6, 2, 4, 3])[:, None]
    return ids * mask, mask


def test_the_text_tower_equals_transformers_own_forward(batch):
    ids, mask = batch
    encoder = encoder_from_config(BERT).eval()
    tower = TextTower(encoder, 1).eval()
    expected = encoder(input_ids=ids, attention_mask=mask.long()).last_hidden_state
    torch.testing.assert_close(tower(ids, mask)[mask], expected[mask], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(tower(ids, mask, tower.prefix(ids, mask)), tower(ids, mask))


def test_a_text_tower_of_another_build_runs_whole():
    config = {"model_type": "distilbert", "vocab_size": 60, "dim": 32, "n_layers": 1, "n_heads": 1, "hidden_dim": 32}
    tower = TextTower(encoder_from_config(config)).eval()
    assert tower(torch.ones(1, 3, dtype=torch.long), torch.ones(1, 3, dtype=torch.bool)).shape == (1, 3, 32)


def test_length_groups_keep_the_order(batch):
    _, mask = batch
    order = in_length_groups(lambda rows, _: rows[:, None].float(), mask, 3)
    assert order[:, 0].tolist() == [0, 1, 2, 3]


def test_the_models_text_side_does_not_depend_on_grouping_or_padding(model: LexLip, batch):  # noqa: F811
    ids, mask = batch
    model.eval().set_active(torch.arange(5, 25))
    alone = torch.cat(
        [model.text_weights(ids[i : i + 1, : int(n)], mask[i : i + 1, : int(n)]) for i, n in enumerate(mask.sum(1))]
    )
    for groups in (1, 4):
        torch.testing.assert_close(model(ids, mask, groups=groups).texts, alone, atol=1e-5, rtol=1e-4)


def test_the_copy_says_the_input_pieces_themselves(model: LexLip):  # noqa: F811
    model.eval().set_active(torch.arange(5, 25))
    with torch.no_grad():
        model.decoder.copy_(torch.nn.functional.normalize(torch.randn(20, 32), dim=1))
        model.copy.fill_(100.0)
    ids, mask = torch.tensor([[2, 7, 21, 40, 3]]), torch.ones(1, 5, dtype=torch.bool)  # 2, 3 and 40 are not active
    weights = model.text_weights(ids, mask)[0]
    assert set(weights.topk(2).indices.tolist()) == {7 - 5, 21 - 5}
    _, origins = model.text_logits(ids, mask)
    assert (int(origins[0, 7 - 5]), int(origins[0, 21 - 5])) == (1, 2)


def test_a_bag_weighs_each_present_piece_once():
    bag = BagOfPieces(torch.tensor([0.5, 1.0, 2.0]))
    place_of = torch.tensor([-1, 0, 1, 2])
    weights = bag(torch.tensor([[0, 1, 1, 3], [0, 0, 2, 0]]), place_of)
    torch.testing.assert_close(weights, torch.tensor([[0.5, 0.0, 2.0], [0.0, 1.0, 0.0]]))


def test_pixels_are_normalised_inside_the_model(model: LexLip):  # noqa: F811
    model.eval()
    pixels = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8)
    scaled = (pixels.permute(0, 3, 1, 2) / 255 - 0.5) / 0.5
    torch.testing.assert_close(model.picture_prefix(pixels), model.picture.backbone.prefix(scaled))
    torch.testing.assert_close(model.picture_weights(model.picture_prefix(pixels)), model.picture_weights(pixels))
