"""What it takes to encode a query, by each text side: ways to ask that ask nothing."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.versus.built import OwnAsker
from benchmarks.versus.system import Answer, Parameters, Side

EncodeText = Callable[[str], object]


@dataclass(frozen=True)
class Encoding(OwnAsker):
    """A text side; query i is text i."""

    side: Side
    encode: EncodeText
    texts: Sequence[str]

    @property
    def parameters(self) -> Parameters:
        """There is nothing to choose."""
        return {}

    def ask(self, query: int, k: int) -> Answer:
        """Encode; nothing is found."""
        self.encode(self.texts[query])
        return Answer(np.empty(0, np.int64))


def encodings(encoders: Mapping[Side, EncodeText], texts: Sequence[str]) -> list[Encoding]:
    """The text sides, asked for these texts."""
    return [Encoding(side, encode, texts) for side, encode in encoders.items()]
