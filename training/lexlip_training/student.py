"""What data-parallel training wraps: the model and, in stage 1, the decoder that reads captions back through a bottleneck.

Stage 1 (LexLIP section 3.2; Luo et al., ICCV 2023): the caption with 30 % of its pieces hidden is read by the text tower, which
predicts them (`mlm`); the caption with 50 % hidden is read by a weak decoder, which can do it only with the help of one vector,
made of the picture's lexicon distribution (`picture_mlm`) or of the caption's own (`text_mlm`). So the distributions must say
what is there. The decoder is thrown away after training.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lexlip_training.batches import Batch
from lexlip_training.bottleneck import BottleneckDecoder, bottleneck, masked_cross_entropy
from lexlip_training.dense import DenseTwin
from lexlip_training.lexlip import LexLip, Outputs
from lexlip_training.recipe import LossRecipe, PhaseRecipe
from lexlip_training.towers import in_length_groups

Model = LexLip | DenseTwin


def hidden_in_groups(run: Callable[[Tensor, int], Tensor], mask: Tensor) -> Tensor:
    """As `in_length_groups` for hidden states: `run` returns (n, length, D); the result (B, L, D) is 0 where nothing ran."""
    return in_length_groups(lambda rows, length: F.pad(run(rows, length), (0, 0, 0, mask.shape[1] - length)), mask)


class Student(nn.Module):
    """See the module's docstring; `forward` is one training step of a phase."""

    def __init__(self, model: Model, phase: PhaseRecipe) -> None:
        """Wrap `model`; the decoder is made if the phase's losses ask for it, with random weights."""
        super().__init__()
        self.model = model
        self.loss: LossRecipe = phase.loss
        self.bag = phase.text == "bag"
        self.decoder: BottleneckDecoder | None = None
        if isinstance(model, LexLip) and (phase.loss.picture_mlm or phase.loss.text_mlm):
            self.decoder = BottleneckDecoder(model.architecture.text_config, phase.masking.decoder_layers)

    def parts(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Parameters by the names that a recipe's `rates` use: the model's own, and `bottleneck` for the decoder's."""
        yield from self.model.named_parameters()
        if self.decoder is not None:
            yield from self.decoder.named_parameters(prefix="bottleneck")

    def forward(self, batch: Batch) -> Outputs:
        """A batch (see `batches`) -> what the losses see."""
        model = self.model
        if isinstance(model, DenseTwin):
            vectors: Outputs = model(batch["ids"], batch["mask"], batch.get("pictures"), batch.get("below"))
            return vectors.cut(len(batch["rows"]))
        outputs: Outputs = model(batch["ids"], batch["mask"], batch.get("pictures"), batch.get("below"), bag=self.bag)
        if "masked_ids" in batch:
            outputs = replace(outputs, masked=dict(self._stage_1(model, batch, outputs)))
        return outputs.cut(len(batch["rows"]))

    def _stage_1(self, model: LexLip, batch: Batch, outputs: Outputs) -> Iterator[tuple[str, tuple[Tensor, Tensor]]]:
        mask, matrix = batch["mask"], model.text_matrix()
        words = model.place_of[batch["ids"]]  # (n, L) what is to be found, as places among the active pieces
        head = model.text_head
        pooled: Tensor | None = None

        def read_masked(rows: Tensor, length: int) -> Tensor:
            hidden: Tensor = head.transform(model.text(batch["masked_ids"][rows, :length], mask[rows, :length]))
            return hidden

        if self.loss.mlm or self.loss.text_mlm:
            hidden = hidden_in_groups(read_masked, mask)  # (n, L, D)
            if self.loss.mlm:
                at = batch["masked_at"]
                yield "mlm", masked_cross_entropy(hidden[at], matrix, head.bias, words[at])
            if self.loss.text_mlm:
                pooled = model.say(batch["masked_ids"], mask, hidden)[0]  # (n, A)
        if self.decoder is None:
            return
        decoder = self.decoder
        embedded = model.text.encoder.embeddings(input_ids=batch["bottleneck_ids"])  # (n, L, D)
        active = model.text.embeddings[model.active]  # (A, D)
        at = batch["bottleneck_at"]
        seen = None if outputs.picture_logits is None else self._per_caption(outputs.picture_logits, mask)
        for name, weight, logits in (("picture_mlm", self.loss.picture_mlm, seen), ("text_mlm", self.loss.text_mlm, pooled)):
            if not weight or logits is None:
                continue
            through = bottleneck(logits, active)  # (n, D)

            def read_back(rows: Tensor, length: int, through: Tensor = through) -> Tensor:
                hidden: Tensor = decoder(embedded[rows, :length], mask[rows, :length], through[rows])
                return hidden

            read = head.transform(hidden_in_groups(read_back, mask)[at])  # (hidden pieces, D)
            yield name, masked_cross_entropy(read, matrix, head.bias, words[at])

    @staticmethod
    def _per_caption(logits: Tensor, mask: Tensor) -> Tensor:
        return torch.repeat_interleave(logits, len(mask) // len(logits), dim=0)
