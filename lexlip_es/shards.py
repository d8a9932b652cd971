"""A shard of a collection: the documents whose ids lie in one of so many equal ranges, whatever the source and its order."""

import re
from dataclasses import dataclass

from lexlip_es.errors import UsageError

_IDS = 16**8  # the first eight digits of an id count


@dataclass(frozen=True)
class Shard:
    """The `number`-th of `of` shards, from 1."""

    number: int = 1
    of: int = 1

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """Read `3/16`; raises `UsageError`.

        >>> Shard.parse("3/16")
        Shard(number=3, of=16)
        """
        found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text.strip())
        if not found or not 1 <= int(found[1]) <= int(found[2]):
            raise UsageError(f"{text[:40]!r} is no shard: write --shard 1/16 to --shard 16/16.")
        return cls(int(found[1]), int(found[2]))

    def has(self, document: str) -> bool:
        """Whether the document of this id is in it; every id is in exactly one shard."""
        return int(document[:8], 16) * self.of // _IDS == self.number - 1


WHOLE = Shard()
