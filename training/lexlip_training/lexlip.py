"""The model: two towers, two lexical heads, one vocabulary, and the bag of pieces that needs no tower.

Inside, terms are the A *active pieces* (those that the model may speak), numbered 0..A-1; the buffer `active` (A,) holds their
vocabulary ids. Outside, in `SparseWeights` and in exports, terms are vocabulary ids.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lexlip_training.class_words import ClassWords
from lexlip_training.head import LexicalHead, lexicon_weights
from lexlip_training.masked_lm import encoder_from_config
from lexlip_training.towers import GROUPS, Backbone, BagOfPieces, PictureTower, Positions, TextTower, TwoTowers

Decoder = Literal["shared", "separate", "embeddings"]


@dataclass(frozen=True)
class Architecture:
    """All that is needed to rebuild the modules from `model.safetensors`, without a download; part of the model's identity."""

    backbone: str
    frozen_blocks: int
    positions: Positions
    text_config: Mapping[str, Any]  # of transformers
    frozen_layers: int
    copy: bool
    decoder: Decoder
    active: int
    vocabulary: int
    dropout: float = 0.0
    size: int | None = None  # pixels, where the backbone's position tables depend on it
    class_words: int = 0  # how many terms the backbone's own classifier gives evidence for (see `ClassWords`)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "Architecture":
        """From the `architecture` entry of a `config.json`."""
        return cls(**config)

    def to_config(self) -> dict[str, Any]:
        """For the `architecture` entry of a `config.json`."""
        config = asdict(self)
        for later in ("size", "class_words"):  # models were written before there were these: their identity must not change
            if not config[later]:
                del config[later]
        return config


@dataclass(frozen=True)
class Outputs:
    """What a step's losses see: what is compared, the logits behind it, and stage 1's sums of cross-entropies.

    Logits are pooled, before relu; None where a side does not take part, is a bag, or has no terms (the dense twin).
    """

    pictures: Tensor | None  # (B, A) lexicon weights, or vectors of the dense twin
    texts: Tensor  # (B·c, A)
    picture_logits: Tensor | None = None  # (B, A)
    text_logits: Tensor | None = None  # (B·c, A)
    masked: Mapping[str, tuple[Tensor, Tensor]] = field(default_factory=dict)  # loss part -> sum, number of pieces

    def cut(self, pictures: int) -> "Outputs":
        """Without the blank that keeps a process in step whose pictures were all unreadable (`batches`)."""
        if self.pictures is None or len(self.pictures) == pictures:
            return self
        none = slice(0, pictures)
        seen, said = (None if tensor is None else tensor[none] for tensor in (self.picture_logits, self.text_logits))
        masked = {name: (total * 0, count * 0) for name, (total, count) in self.masked.items()}
        return Outputs(self.pictures[none], self.texts[none], seen, said, masked)


class LexLip(TwoTowers):
    """See the module's docstring. `forward` is a training step's; the `*_weights` methods encode."""

    def __init__(self, architecture: Architecture, mean: Sequence[float], std: Sequence[float]) -> None:
        """Random weights; `mean` and `std` (RGB, in units of 0..1) normalise pixels."""
        super().__init__()
        self.architecture = architecture
        terms = architecture.active
        self.text = TextTower(encoder_from_config(architecture.text_config), architecture.frozen_layers)
        dim = self.text.width
        backbone = Backbone(architecture.backbone, architecture.frozen_blocks, architecture.size)
        self.picture = PictureTower(backbone, dim, architecture.positions, architecture.dropout)
        self.picture_head = LexicalHead(dim, terms)
        self.classes = ClassWords(backbone.network, terms, architecture.class_words) if architecture.class_words else None
        self.text_head = LexicalHead(dim, terms)
        self.bag = BagOfPieces(torch.ones(terms))
        self.copy = nn.Parameter(torch.zeros(())) if architecture.copy else None
        tied = architecture.decoder == "embeddings"
        self.decoder = None if tied else nn.Parameter(torch.empty(terms, dim).normal_(std=0.02))
        self.text_decoder = (
            nn.Parameter(torch.empty(terms, dim).normal_(std=0.02)) if architecture.decoder == "separate" else None
        )
        self.active: Tensor
        self.place_of: Tensor
        self.register_buffer("active", torch.arange(terms))
        self.register_buffer("place_of", torch.full((architecture.vocabulary,), -1), persistent=False)
        self.set_pixels(mean, std)
        self.set_active(self.active)

    def set_active(self, active: Tensor) -> None:
        """Say which vocabulary ids the A terms are: ascending int64 (A,)."""
        self.active.copy_(active)
        self.place_of.fill_(-1)
        self.place_of[self.active] = torch.arange(len(active), device=self.active.device)

    # -- decoder matrices

    def picture_matrix(self) -> Tensor:
        """(A, D) what a picture's positions are compared with."""
        return self.text.embeddings[self.active] if self.decoder is None else self.decoder

    def text_matrix(self) -> Tensor:
        """(A, D) what a sentence's positions are compared with."""
        return self.picture_matrix() if self.text_decoder is None else self.text_decoder

    # -- pictures

    def picture_logits(self, pictures: Tensor) -> Tensor:
        """Pixels uint8 (B, S, S, 3), or the prefix's outputs in any float type -> pooled logits (B, A).

        What the backbone's own classifier sees counts as one more position.
        """
        below = self.picture_below(pictures)
        hidden = self.picture_head.transform(self.picture(below))  # (B, L, D)
        logits: Tensor = self.picture_head(hidden, self.picture_matrix())[0]
        return logits if self.classes is None else torch.maximum(logits, self.classes(below))

    def picture_weights(self, pictures: Tensor) -> Tensor:
        """As `picture_logits` -> lexicon weights (B, A)."""
        return lexicon_weights(self.picture_logits(pictures))

    # -- texts

    def text_logits(self, ids: Tensor, mask: Tensor, below: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """ids (B, L), mask (B, L) bool, cached prefix (B, L, D) or None -> pooled logits (B, A) and winning positions (B, A)."""
        return self.say(ids, mask, self.text_head.transform(self.text(ids, mask, below)))

    def say(self, ids: Tensor, mask: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Transformed hidden states (B, L, D) of a sentence -> pooled logits (B, A) and winning positions (B, A)."""
        matrix = self.text_matrix()
        if self.copy is not None:
            places = self.place_of[ids]  # (B, L)
            own = F.normalize(matrix.detach(), dim=1)[places.clamp(min=0)]  # (B, L, D)
            hidden = hidden + self.copy * own * (places >= 0)[..., None]
        logits, origins = self.text_head(hidden, matrix, mask)
        return logits, origins

    def text_weights(self, ids: Tensor, mask: Tensor, below: Tensor | None = None) -> Tensor:
        """As `text_logits` -> lexicon weights (B, A)."""
        return lexicon_weights(self.text_logits(ids, mask, below)[0])

    def bag_weights(self, ids: Tensor) -> Tensor:
        """ids (B, L) -> the weights of the pieces themselves (B, A)."""
        weights: Tensor = self.bag(ids, self.place_of)
        return weights

    # -- training

    def forward(
        self,
        ids: Tensor,
        mask: Tensor,
        pictures: Tensor | None = None,
        below: Tensor | None = None,
        *,
        bag: bool = False,
        groups: int = GROUPS,
    ) -> Outputs:
        """One step's outputs: both sides, or texts only (`pictures=None`); `groups` of like length save padding."""
        logits = None if pictures is None else self.picture_logits(pictures)
        weights = None if logits is None else lexicon_weights(logits)
        if bag:
            return Outputs(weights, self.bag_weights(ids), logits)
        text_logits = self.in_groups(lambda *trimmed: self.text_logits(*trimmed)[0], ids, mask, below, groups)
        return Outputs(weights, lexicon_weights(text_logits), logits, text_logits)


def without_terms(model: LexLip, silent: Tensor) -> LexLip:
    """The model without the terms that `silent` (V,) bool names by vocabulary id; the others are as they were.

    A silent piece still reaches the towers as input; only nothing is looked up by it any more.
    """
    kept = ~silent[model.active.cpu()]  # (A,)
    state = model.state_dict()
    for name in ("active", "decoder", "text_decoder", "picture_head.bias", "text_head.bias", "bag.theta", "classes.word_of"):
        if name in state:
            state[name] = state[name][kept.to(state[name].device)]
    smaller = LexLip(replace(model.architecture, active=int(kept.sum())), model.mean.tolist(), model.std.tolist())
    smaller.load_state_dict(state)
    smaller.set_active(smaller.active.clone())
    return smaller.to(model.active.device).train(model.training)
