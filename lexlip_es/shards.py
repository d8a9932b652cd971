"""A shard of a collection: the documents whose ids lie in one of so many equal ranges, whatever the source and its order."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from lexlip_es.errors import UsageError

_IDS = 16**8  # the first eight digits of an id count
_FROM_0 = (  # who says which of how many processes this is, counted from 0
    ("SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT"),  # sbatch --array=0-15
    ("JOB_COMPLETION_INDEX", None),  # an indexed Job of Kubernetes, which does not say of how many
    ("RANK", "WORLD_SIZE"),  # torchrun, accelerate launch
    ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS"),  # srun; a batch script without it has the first, but not the second
)


@dataclass(frozen=True)
class Shard:
    """The `number`-th of `of` shards, from 1."""

    number: int = 1
    of: int = 1

    @classmethod
    def parse(cls, text: str, environment: Mapping[str, str] | None = None) -> "Shard":
        """Read `3/16`, or `auto` and `auto/16` with what a scheduler says in the environment; raises `UsageError`.

        `auto/16` is for schedulers that do not tell how many there are, and to run some of them again.

        >>> Shard.parse("3/16")
        Shard(number=3, of=16)
        >>> Shard.parse("auto", {"RANK": "2", "WORLD_SIZE": "16"})
        Shard(number=3, of=16)
        """
        found = re.fullmatch(r"(\d{1,6}|auto)(?:/(\d{1,6}))?", text.strip())
        if found and found[1] == "auto":
            return _told(environment or {}, int(found[2]) if found[2] else None)
        if not found or not found[2] or not 1 <= int(found[1]) <= int(found[2]):
            raise UsageError(
                f"{text[:40]!r} is no shard: write --shard 1/16 to --shard 16/16, or --shard auto under a scheduler."
            )
        return cls(int(found[1]), int(found[2]))

    def has(self, document: str) -> bool:
        """Whether the document of this id is in it; every id is in exactly one shard."""
        return int(document[:8], 16) * self.of // _IDS == self.number - 1


def _told(environment: Mapping[str, str], of: int | None) -> Shard:
    """The shard that a scheduler's variables name; `of` is how many there are, where the user said it."""
    told = [(place, count) for place, count in _FROM_0 if place in environment and (count is None or count in environment)]
    if not told:
        raise UsageError(
            "--shard auto finds no scheduler's RANK, SLURM_PROCID or the like in the environment: write --shard 1/16."
        )
    # A launcher inside an array's task: neither alone is the place among all.
    several = [(place, count) for place, count in told if count and environment[count] != "1"]
    if len(several) > 1:
        names = " and ".join(place for place, _ in several)
        raise UsageError(f"--shard auto finds {names} in the environment, which count different things: write --shard 1/16.")
    place, count = (several or told)[0]
    try:
        number = int(environment[place]) + 1
        all_of_them = of or int(environment[count or ""])
    except KeyError:
        raise UsageError(f"{place} does not say of how many: write --shard auto/16, with the number of all.") from None
    except ValueError:
        raise UsageError(f"{place} in the environment is no number: write --shard 1/16.") from None
    if not 1 <= number <= all_of_them:
        raise UsageError(
            f"{place} is {environment[place]}, which is not among 0 to {all_of_them - 1}: count from 0 (--array=0-15), "
            "or write --shard auto/16, with the number of all."
        )
    return Shard(number, all_of_them)


WHOLE = Shard()
