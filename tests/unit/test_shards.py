"""A shard is what the user says, or what a scheduler's environment says, and never a guess."""

import pytest

from lexlip_es.documents import document_id
from lexlip_es.errors import UsageError
from lexlip_es.machine import cpus, gpu
from lexlip_es.shards import Shard

ARRAY = {"SLURM_ARRAY_TASK_ID": "5", "SLURM_ARRAY_TASK_COUNT": "16"}
STEP = {"SLURM_PROCID": "2", "SLURM_STEP_NUM_TASKS": "4"}


@pytest.mark.parametrize(
    ("said", "environment", "shard"),
    [
        ("3/16", {}, Shard(3, 16)),
        ("3/16", {"RANK": "0", "WORLD_SIZE": "2"}, Shard(3, 16)),
        ("auto", {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0"}, Shard(1, 2)),
        ("auto", {"RANK": "0", "WORLD_SIZE": "1"}, Shard(1, 1)),
        ("auto", STEP, Shard(3, 4)),
        ("auto", ARRAY, Shard(6, 16)),
        ("auto", ARRAY | {"SLURM_PROCID": "0", "SLURM_NTASKS": "1"}, Shard(6, 16)),
        ("auto", ARRAY | {"SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "1"}, Shard(6, 16)),
        ("auto", STEP | {"RANK": "0", "WORLD_SIZE": "1"}, Shard(3, 4)),
        ("auto/16", ARRAY | {"SLURM_ARRAY_TASK_COUNT": "1"}, Shard(6, 16)),  # one of them alone, again
        ("auto/16", {**ARRAY, "SLURM_ARRAY_TASK_COUNT": "1", "SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "1"}, Shard(6, 16)),
        ("auto/16", {"JOB_COMPLETION_INDEX": "15"}, Shard(16, 16)),
    ],
)
def test_a_shard_is_said_or_told(said: str, environment: dict[str, str], shard: Shard) -> None:
    assert Shard.parse(said, environment) == shard


@pytest.mark.parametrize(
    ("said", "environment", "why"),
    [
        ("auto", {}, "finds no scheduler"),
        ("auto", {"SLURM_PROCID": "0", "SLURM_NTASKS": "16"}, "finds no scheduler"),  # a batch script that forgot its srun
        ("auto", {"JOB_COMPLETION_INDEX": "15"}, "does not say of how many: write --shard auto/16"),
        ("auto", {**ARRAY, **STEP}, "SLURM_ARRAY_TASK_ID and SLURM_PROCID"),
        ("auto", {**ARRAY, "RANK": "1", "WORLD_SIZE": "8"}, "SLURM_ARRAY_TASK_ID and RANK"),
        ("auto", ARRAY | {"SLURM_ARRAY_TASK_COUNT": "1"}, "not among 0 to 0"),
        ("auto", ARRAY | {"SLURM_ARRAY_TASK_ID": "16"}, "not among 0 to 15"),  # --array=1-16
        ("auto/16", {"JOB_COMPLETION_INDEX": "16"}, "not among 0 to 15"),
        ("auto", {"RANK": "first", "WORLD_SIZE": "2"}, "is no number"),
        ("auto/", {}, "is no shard"),
        ("3", {}, "is no shard"),
        ("0/3", {}, "is no shard"),
        ("4/3", {}, "is no shard"),
    ],
)
def test_what_is_unclear_is_asked_for(said: str, environment: dict[str, str], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        Shard.parse(said, environment)


def test_every_document_is_in_one_shard() -> None:
    shards = [Shard(number, 7) for number in range(1, 8)]
    ids = [document_id("photos", f"{i}.jpg".encode()) for i in range(700)]
    assert all(sum(shard.has(each) for shard in shards) == 1 for each in ids)
    assert all(60 < sum(shard.has(each) for each in ids) < 140 for shard in shards)


def test_processes_of_one_machine_share_its_processors_and_have_a_gpu_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    alone = cpus()
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert cpus() == max(1, alone // 2)
    assert [gpu(4, {"LOCAL_RANK": str(rank)}) for rank in range(4)] == [0, 1, 2, 3]
    assert gpu(4, {"SLURM_LOCALID": "3"}) == 3
    assert gpu(1, {"SLURM_LOCALID": "3"}) == 0  # it sees none but its own
    assert gpu(4, {}) == 0
