"""The two towers below the heads: a picture or a sentence in, hidden states (B, L, D) out.

Each tower is cut in two. What lies below the cut is frozen (`prefix`), so its outputs can be computed once and cached, which is
what makes training on a CPU possible; what lies above trains (`forward` takes the prefix's outputs).
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from lexlip_es.errors import LexlipError

Positions = Literal["all", "mean+all", "pooled"]
GROUPS = 4  # in which sentences of like length run together


class Backbone(nn.Module):
    """Any timm network without its classifier, cut after `frozen_blocks` blocks (-1: everything is frozen).

    A cut in the middle is known for the EfficientNet family (`conv_stem, bn1, blocks, conv_head, bn2`); any other network is
    frozen as a whole or not at all. Batch normalisation keeps its pretrained statistics everywhere: small batches would spoil
    them.
    """

    network: Any  # nn.Module hides what a module's attributes are

    def __init__(self, name: str, frozen_blocks: int = 0, size: int | None = None) -> None:
        """`name` as timm knows it, `size` for those whose position tables depend on it; the weights start at random.

        Raises `LexlipError` for an unknown name or an impossible cut.
        """
        super().__init__()
        self.checkpointing = False
        sized: dict[str, Any] = {} if size is None else {"img_size": size}
        try:
            self.network = timm.create_model(name, pretrained=False, num_classes=0, **sized)
        except RuntimeError as error:
            raise LexlipError(f"timm has no backbone '{name}': timm.list_models() names those it has.") from error
        self.frozen_blocks = frozen_blocks
        self.width: int = self.network.num_features
        efficient = all(hasattr(self.network, part) for part in ("conv_stem", "bn1", "blocks", "conv_head", "bn2"))
        if frozen_blocks > 0 and not efficient:
            raise LexlipError(f"'{name}' can be frozen as a whole (-1) or not at all (0), not at block {frozen_blocks}.")
        if frozen_blocks > 0 and frozen_blocks > len(self.network.blocks):
            raise LexlipError(
                f"'{name}' has {len(self.network.blocks)} blocks, so {frozen_blocks} cannot be frozen: use -1 for all."
            )

    def prefix(self, pixels: Tensor) -> Tensor:
        """Normalised pixels (B, 3, S, S) -> what the cut lets through; the pixels themselves where nothing is frozen."""
        if self.frozen_blocks == 0:
            return pixels
        if self.frozen_blocks < 0:
            return self._positions(self.network.forward_features(pixels))
        below: Tensor = self.network.bn1(self.network.conv_stem(pixels))
        return self._run(self.network.blocks[: self.frozen_blocks], below)

    def forward(self, below: Tensor) -> Tensor:
        """What `prefix` gave -> positions (B, L, C)."""
        if self.frozen_blocks < 0:
            return below
        if self.frozen_blocks == 0:
            return self._positions(self.network.forward_features(below))
        above = self._run(self.network.blocks[self.frozen_blocks :], below)
        return self._positions(self.network.bn2(self.network.conv_head(above)))

    def _run(self, blocks: Any, hidden: Tensor) -> Tensor:
        for block in blocks:
            again = self.checkpointing and hidden.requires_grad
            hidden = checkpoint(block, hidden, use_reentrant=False) if again else block(hidden)
        return hidden

    def checkpoint_gradients(self) -> None:
        """Keep no activations of blocks: they are computed again in the backward pass."""
        self.checkpointing = True
        if hasattr(self.network, "set_grad_checkpointing"):
            self.network.set_grad_checkpointing(True)

    def _positions(self, features: Tensor) -> Tensor:
        if features.dim() == 3:
            return features  # tokens (B, L, C), a class token included
        if str(getattr(self.network, "output_fmt", "NCHW")).endswith("NHWC"):
            return features.flatten(1, 2)  # (B, H, W, C)
        return features.flatten(2).transpose(1, 2)  # (B, C, H, W)

    def frozen_parameters(self) -> list[nn.Parameter]:
        """The parameters below the cut."""
        if self.frozen_blocks < 0:
            return list(self.network.parameters())
        if self.frozen_blocks == 0:
            return []
        parts = [self.network.conv_stem, self.network.bn1, self.network.blocks[: self.frozen_blocks]]
        return [parameter for part in parts for parameter in part.parameters()]

    def frozen_tensors(self) -> list[Tensor]:
        """What decides the prefix's outputs: the frozen parameters and all running statistics."""
        return [*self.frozen_parameters(), *self.network.buffers()]

    def train(self, mode: bool = True) -> "Backbone":
        """Training mode for everything but batch normalisation and what is frozen."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
        return self


class TwoTowers(nn.Module):
    """What a LexLIP model and its dense twin share: two towers, and what of them a cache may keep."""

    picture: "PictureTower"
    text: "TextTower"
    architecture: Any
    mean: Tensor
    std: Tensor

    def set_pixels(self, mean: Sequence[float], std: Sequence[float]) -> None:
        """How pixels are normalised: RGB, in units of 0..1."""
        self.register_buffer("mean", torch.tensor(tuple(mean)), persistent=False)
        self.register_buffer("std", torch.tensor(tuple(std)), persistent=False)

    def picture_prefix(self, pixels: Tensor) -> Tensor:
        """uint8 (B, S, S, 3) RGB -> what the backbone's frozen part gives."""
        scaled = (pixels.to(self.mean.dtype) / 255 - self.mean) / self.std  # (B, S, S, 3)
        below: Tensor = self.picture.backbone.prefix(scaled.permute(0, 3, 1, 2))  # channels last in memory
        return below

    def picture_below(self, pictures: Tensor) -> Tensor:
        """Pixels uint8 (B, S, S, 3), or the prefix's outputs in any float type -> the prefix's outputs."""
        return self.picture_prefix(pictures) if pictures.dtype == torch.uint8 else pictures.to(self.mean.dtype)

    def in_groups(
        self,
        encode: Callable[[Tensor, Tensor, Tensor | None], Tensor],
        ids: Tensor,
        mask: Tensor,
        below: Tensor | None,
        groups: int = GROUPS,
    ) -> Tensor:
        """`encode` sentences in groups of like length, each trimmed to its longest: ids, mask (B, L) -> (B, n), in order."""

        def trimmed(rows: Tensor, length: int) -> Tensor:
            return encode(ids[rows, :length], mask[rows, :length], None if below is None else below[rows, :length])

        return in_length_groups(trimmed, mask, groups)

    def picture_prefix_digest(self) -> str:
        """Names the frozen picture prefix: network, cut, normalisation, and the values of its tensors."""
        backbone = self.picture.backbone
        facts = [self.architecture.backbone, backbone.frozen_blocks, self.mean.tolist(), self.std.tolist()]
        return _digest(facts, backbone.frozen_tensors())

    def text_prefix_digest(self) -> str:
        """Names the frozen text prefix."""
        return _digest([self.text.frozen_layers], self.text.frozen_parameters())


def _digest(facts: Sequence[Any], tensors: Sequence[Tensor]) -> str:
    digest = hashlib.sha256(json.dumps(facts).encode())
    for tensor in tensors:
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


class PictureTower(nn.Module):
    """Backbone, choice of positions, projection to D and LayerNorm.

    positions: "all" patch tokens or places of the feature map, "mean+all" with their mean before them, or "pooled": one
    position, their mean plus half their maximum.
    """

    def __init__(self, backbone: Backbone, dim: int, positions: Positions = "all", dropout: float = 0.0) -> None:
        """`dropout` drops whole channels of a picture, the same at all its positions."""
        super().__init__()
        self.backbone = backbone
        self.positions = positions
        self.dropout = nn.Dropout(dropout)
        self.projection = nn.Linear(backbone.width, dim)
        self.norm = nn.LayerNorm(dim)

    def forward(self, below: Tensor) -> Tensor:
        """The backbone prefix's outputs -> hidden states (B, L, D)."""
        places = self.backbone(below)  # (B, L, C)
        if self.positions == "mean+all":
            places = torch.cat([places.mean(1, keepdim=True), places], dim=1)
        elif self.positions == "pooled":
            places = places.mean(1, keepdim=True) + 0.5 * places.amax(1, keepdim=True)  # (B, 1, C)
        if self.training:
            places = places * self.dropout(places.new_ones(places.shape[0], 1, places.shape[2]))
        hidden: Tensor = self.norm(self.projection(places))
        return hidden


def run_bert_layers(layers: Iterable[Any], hidden: Tensor, mask: Tensor) -> Tensor:
    """hidden (B, L, D), mask (B, L) bool, padding false -> what transformers' BERT layers make of it (B, L, D)."""
    shut = torch.zeros_like(mask, dtype=hidden.dtype).masked_fill(~mask, -1e4)[:, None, None, :]  # (B, 1, 1, L)
    for layer in layers:
        out = layer(hidden, shut)
        hidden = out[0] if isinstance(out, tuple) else out  # a tuple before transformers 5
    return hidden


class TextTower(nn.Module):
    """A transformers encoder, with the first `frozen_layers` layers (and the embeddings) below the cut.

    A cut in the middle needs a BERT-like encoder (`embeddings`, `encoder.layer`); any other runs whole, uncut.
    """

    encoder: Any

    def __init__(self, encoder: nn.Module, frozen_layers: int = 0) -> None:
        """`encoder` gives hidden states, without a language-model head (see `masked_lm`)."""
        super().__init__()
        self.encoder = encoder
        self.frozen_layers = frozen_layers
        self.width: int = self.encoder.config.hidden_size
        self.layered = hasattr(encoder, "embeddings") and hasattr(getattr(encoder, "encoder", None), "layer")
        if frozen_layers > 0 and not self.layered:
            raise LexlipError("only BERT-like text towers can be frozen in part: set text.frozen_layers to 0.")
        if self.layered and frozen_layers > len(self.encoder.encoder.layer):
            raise LexlipError(
                f"the text tower has {len(self.encoder.encoder.layer)} layers, so {frozen_layers} cannot be frozen."
            )

    @property
    def embeddings(self) -> nn.Parameter:
        """The word embedding matrix (V, D)."""
        matrix: nn.Parameter = self.encoder.get_input_embeddings().weight
        return matrix

    def prefix(self, ids: Tensor, mask: Tensor) -> Tensor:
        """ids (B, L), mask (B, L) -> hidden states below the cut (B, L, D)."""
        return self._layers(self.encoder.embeddings(input_ids=ids), mask, 0, self.frozen_layers)

    def above(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Hidden states below the cut (B, L, D) -> the last hidden states."""
        return self._layers(hidden, mask, self.frozen_layers, len(self.encoder.encoder.layer))

    def forward(self, ids: Tensor, mask: Tensor, below: Tensor | None = None) -> Tensor:
        """ids (B, L), mask (B, L) bool, and the prefix's outputs where they are cached -> hidden states (B, L, D)."""
        if not self.layered:
            last: Tensor = self.encoder(input_ids=ids, attention_mask=mask.to(torch.int64)).last_hidden_state
            return last
        return self.above(self.prefix(ids, mask) if below is None else below, mask)

    def _layers(self, hidden: Tensor, mask: Tensor, start: int, end: int) -> Tensor:
        return run_bert_layers(self.encoder.encoder.layer[start:end], hidden, mask)

    def frozen_parameters(self) -> list[nn.Parameter]:
        """The parameters below the cut."""
        if self.frozen_layers == 0:
            return []
        layers = self.encoder.encoder.layer[: self.frozen_layers]
        return [*self.encoder.embeddings.parameters(), *layers.parameters()]


class BagOfPieces(nn.Module):
    """The inference-free text side: a sentence weighs its own pieces, each by one learned number, softplus(theta)."""

    def __init__(self, start: Tensor) -> None:
        """`start` (A,) > 0: the weights to begin with, such as a third of the inverse document frequency."""
        super().__init__()
        self.theta = nn.Parameter(torch.log(torch.expm1(start.clamp(min=0.05))))

    def weights(self) -> Tensor:
        """(A,) the weight of each piece."""
        return F.softplus(self.theta)

    def forward(self, ids: Tensor, place_of: Tensor) -> Tensor:
        """ids (B, L) vocabulary ids, place_of (V,) their place among the A active pieces or -1 -> weights (B, A)."""
        places = place_of[ids]  # (B, L)
        present = self.theta.new_zeros(ids.shape[0], self.theta.shape[0])  # (B, A)
        rows = torch.arange(ids.shape[0], device=ids.device)[:, None].expand_as(places)
        present[rows[places >= 0], places[places >= 0]] = 1.0
        return present * self.weights()


def in_length_groups(run: Callable[[Tensor, int], Tensor], mask: Tensor, groups: int = GROUPS) -> Tensor:
    """Run sequences of like length together, so that most padding is never computed.

    `run` takes row indices (n,) and their longest length, and returns (n, ...); the result is in the order of mask's rows (B, L).
    """
    lengths = mask.sum(1)
    order = torch.argsort(lengths, stable=True)
    outputs = torch.cat([run(rows, int(lengths[rows].max())) for rows in torch.tensor_split(order, min(groups, len(order)))])
    back = torch.empty_like(order)
    back[order] = torch.arange(len(order), device=order.device)
    return outputs[back]
