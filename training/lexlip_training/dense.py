"""The dense twin: the same towers with one unit vector a side instead of a lexicon, compared by their cosine.

It is the baseline that says what the lexicon costs or gains, with nothing else changed, and it can be a teacher. It has no
inverted index, no query table and no ONNX file.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from lexlip_training.lexlip import Outputs
from lexlip_training.masked_lm import encoder_from_config
from lexlip_training.towers import Backbone, PictureTower, Positions, TextTower, TwoTowers


@dataclass(frozen=True)
class DenseArchitecture:
    """All that is needed to rebuild the modules from `model.safetensors`."""

    backbone: str
    frozen_blocks: int
    positions: Positions
    text_config: Mapping[str, Any]
    frozen_layers: int
    dim: int
    dropout: float = 0.0
    size: int | None = None
    kind: str = "dense"

    def to_config(self) -> dict[str, Any]:
        """For the `architecture` entry of a `config.json`."""
        return asdict(self)


class DenseTwin(TwoTowers):
    """A picture's or a sentence's mean hidden state, projected to `dim` and brought to unit length."""

    def __init__(self, architecture: DenseArchitecture, mean: Sequence[float], std: Sequence[float]) -> None:
        """Random weights; `mean` and `std` (RGB, in units of 0..1) normalise pixels."""
        super().__init__()
        self.architecture = architecture
        self.text = TextTower(encoder_from_config(architecture.text_config), architecture.frozen_layers)
        backbone = Backbone(architecture.backbone, architecture.frozen_blocks, architecture.size)
        self.picture = PictureTower(backbone, self.text.width, architecture.positions, architecture.dropout)
        self.picture_head = nn.Linear(self.text.width, architecture.dim)
        self.text_head = nn.Linear(self.text.width, architecture.dim)
        self.set_pixels(mean, std)

    def picture_weights(self, pictures: Tensor) -> Tensor:
        """Pixels uint8 (B, S, S, 3), or the frozen prefix's outputs -> unit vectors (B, dim)."""
        return F.normalize(self.picture_head(self.picture(self.picture_below(pictures)).mean(1)), dim=1)

    def text_weights(self, ids: Tensor, mask: Tensor, below: Tensor | None = None) -> Tensor:
        """ids (B, L), mask (B, L) bool, cached prefix or None -> unit vectors (B, dim)."""
        hidden = self.text(ids, mask, below)  # (B, L, D)
        shown = mask[..., None].to(hidden.dtype)
        return F.normalize(self.text_head((hidden * shown).sum(1) / shown.sum(1)), dim=1)

    def forward(self, ids: Tensor, mask: Tensor, pictures: Tensor | None = None, below: Tensor | None = None) -> Outputs:
        """One step's vectors of both sides, or of texts only."""
        seen = None if pictures is None else self.picture_weights(pictures)
        return Outputs(seen, self.in_groups(self.text_weights, ids, mask, below))
