"""What it takes to encode a query, by each text side: ways to ask that ask nothing."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.versus.system import Answer, Asker, Parameters, Side

EncodeText = Callable[[str], object]
SENTENCES = (  # where the collection's captions are not at hand
    "a dog runs through shallow water at the beach",
    "two children play football on the grass",
    "a man in a red jacket climbs a steep rock",
    "people sit at tables outside a restaurant in the evening",
    "a woman with an umbrella crosses a busy street",
    "a boy jumps from a swing in the park",
    "black and white photograph of an old bridge",
    "three horses stand in a field in front of mountains",
)


@dataclass(frozen=True)
class Encoding:
    """A text side; query i is text i."""

    side: Side
    encode: EncodeText
    texts: Sequence[str]

    @property
    def parameters(self) -> Parameters:
        """There is nothing to choose."""
        return {}

    def asker(self) -> Asker:
        """Itself: it holds no connection."""
        return self

    def ask(self, query: int, k: int) -> Answer:
        """Encode; nothing is found."""
        self.encode(self.texts[query])
        return Answer(np.empty(0, np.int64))

    def close(self) -> None:
        """Nothing to give back."""


def encodings(encoders: Mapping[Side, EncodeText], texts: Sequence[str]) -> list[Encoding]:
    """The text sides, asked for these texts, or for `SENTENCES` where they are not known."""
    known = [text for text in texts if text] or SENTENCES
    return [Encoding(side, encode, known) for side, encode in encoders.items()]
