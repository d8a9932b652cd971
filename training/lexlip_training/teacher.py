"""Teachers: finished models whose in-batch similarities a student learns besides the right answers.

What a teacher says of the training data never changes, so it is computed once, before the phase: unit vectors of all pictures
(the plain view) and of all captions.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from lexlip_es.errors import LexlipError
from lexlip_training.checkpoint import load_any
from lexlip_training.losses import unit
from lexlip_training.validating import Gallery, encode_captions, encode_pictures

Report = Callable[[str], None]


class Teacher:
    """The similarities of one or several checkpoints (their mean) over the training split."""

    def __init__(
        self, checkpoints: Sequence[str], temperature: float, gallery: Gallery, device: torch.device, report: Report
    ) -> None:
        """Encode the split with every checkpoint. Raises `LexlipError` for one that cannot be opened or has another cut."""
        self.temperature = temperature
        self.sides: list[tuple[Tensor, Tensor]] = []
        for folder in checkpoints:
            report(f"teacher {folder}: encoding the training split once")
            model = load_any(Path(folder)).to(device)
            try:
                pictures, rows = encode_pictures(model, gallery)
            except RuntimeError as error:
                raise LexlipError(f"the teacher {folder} cannot read this recipe's pictures: give both the same cut.") from error
            everyone = torch.zeros(len(gallery.split), pictures.shape[1])
            everyone[torch.tensor(rows)] = unit(pictures)
            texts = unit(encode_captions(model, gallery, "tower"))
            self.sides.append((everyone.half(), texts.half()))

    def logits(self, captions: Tensor, rows: Tensor) -> Tensor:
        """captions (n,) and rows (m,) of the split -> similarities over temperature (n, m), on the captions' device."""
        found = torch.zeros(len(captions), len(rows))
        for pictures, texts in self.sides:
            found += texts[captions.cpu()].float() @ pictures[rows.cpu()].float().t()
        return (found / len(self.sides) / self.temperature).to(captions.device)
