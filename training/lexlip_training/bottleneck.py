"""Stage 1's bottleneck: one vector made of a lexicon distribution, and the weak decoder that must read a caption through it.

LexLIP (Luo et al., ICCV 2023), section 3.2: p = softmax of the max-pooled raw logits, b = p · word embeddings, whose gradient is
stopped, so that the distribution has to learn what to say instead of the embeddings learning to be mixed. The decoder is two
BERT layers with random weights over the embedded masked caption, with b where [CLS] was.
"""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lexlip_es.errors import LexlipError
from lexlip_training.towers import run_bert_layers

_SHAPE = ("hidden_size", "num_attention_heads", "intermediate_size")
_DETAILS = ("hidden_act", "hidden_dropout_prob", "attention_probs_dropout_prob", "layer_norm_eps", "initializer_range")


def bottleneck(pooled_logits: Tensor, embeddings: Tensor) -> Tensor:
    """Pooled logits (B, A) before relu, word embeddings (A, D) of the same terms -> float32 (B, D); none reaches `embeddings`.

    Always in float32: half precision would round the many small probabilities away.
    """
    with torch.autocast(pooled_logits.device.type, enabled=False):
        chosen = pooled_logits.float().softmax(dim=1)  # (B, A)
        return chosen @ embeddings.detach().float()  # (B, D)


class BottleneckDecoder(nn.Module):
    """A few bidirectional BERT layers, shaped as the text tower's and with random weights."""

    def __init__(self, text_config: Mapping[str, Any], layers: int = 2) -> None:
        """`text_config` is the text tower's transformers configuration, which must say what a BERT's does.

        Raises `LexlipError` where it does not.
        """
        from transformers import BertConfig
        from transformers.models.bert.modeling_bert import BertLayer

        super().__init__()
        lacking = [key for key in _SHAPE if key not in text_config]
        if lacking:
            raise LexlipError(
                f"the text tower's configuration lacks {', '.join(lacking)}: the bottleneck decoder needs a BERT-like tower."
            )
        known: dict[str, Any] = {key: text_config[key] for key in (*_SHAPE, *_DETAILS) if key in text_config}
        # A layer outside of a whole model does not choose an attention by itself; this one takes the mask as an addend.
        known["attn_implementation"] = "sdpa"
        config = BertConfig(**known)
        made = [BertLayer(config, layer_idx=i) for i in range(layers)]  # type: ignore[no-untyped-call]
        self.layers = nn.ModuleList(made)
        for module in self.layers.modules():
            if isinstance(module, nn.Linear):  # as transformers starts a BERT; torch's own start is much wider
                nn.init.normal_(module.weight, std=config.initializer_range)
                nn.init.zeros_(module.bias)

    def forward(self, embedded: Tensor, mask: Tensor, bottleneck: Tensor) -> Tensor:
        """Embedded pieces (B, L, D), mask (B, L) bool, bottleneck (B, D) in position 0's place -> hidden states (B, L, D)."""
        hidden = torch.cat([bottleneck.to(embedded.dtype)[:, None], embedded[:, 1:]], dim=1)  # (B, L, D)
        return run_bert_layers(self.layers, hidden, mask)


def masked_cross_entropy(hidden: Tensor, matrix: Tensor, bias: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy of the selected positions, as a float32 sum and the number of positions in it.

    hidden (n, D) already transformed, matrix (A, D), bias (A,), places (n,) int64: which term was hidden, or -1 where the piece
    is none of the terms. Those are left out, and no logits are made for them. Without any, the sum is zero but still has a
    gradient (of zeros), so that data-parallel processes stay in step.
    """
    known = places >= 0
    logits = F.linear(hidden[known], matrix, bias)  # (m, A)
    return F.cross_entropy(logits.float(), places[known], reduction="sum"), known.sum()
