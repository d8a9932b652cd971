"""Several processes have the losses and the gradients of one process on the same global batch (a fault of the official code)."""

import os

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch.nn.parallel import DistributedDataParallel

from lexlip_training.lexlip import Outputs
from lexlip_training.losses import gather_alone, gather_processes, step_losses
from lexlip_training.recipe import LossRecipe

RECIPE = LossRecipe(flops_picture=0.1, flops_text=0.1, labels_picture=0.1, labels_text=0.1, mlm=0.5)
LABELS = (torch.tensor([0, 3, 5]), torch.zeros(3))


class Sides(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.picture, self.text = torch.nn.Linear(6, 12), torch.nn.Linear(6, 12)
        for parameter in self.parameters():
            parameter.data.normal_(generator=generator)

    def forward(self, pictures, texts):
        return self.picture(pictures), self.text(texts)


def batch():
    generator = torch.Generator().manual_seed(1)
    pictures, texts = torch.randn(8, 6, generator=generator), torch.randn(16, 6, generator=generator)  # two captions each
    return pictures, texts, torch.rand(8, 3, generator=generator)


def step(model, pictures, texts, targets, gather):
    picture, text = model(pictures, texts)
    masked = {"mlm": (text.square()[:, 0].sum(), torch.tensor(len(text)))}  # any sum over own rows and their number
    outputs = Outputs(torch.log1p(picture.relu()), torch.log1p(text.relu()), picture, text, masked)
    parts = step_losses(outputs, RECIPE, 1.0, rows=torch.arange(len(pictures)), labels=(*LABELS, targets), gather=gather)
    sum(parts.values()).backward()
    return {name: part.item() for name, part in parts.items()}


def shares(processes):
    """8 pictures over 2 or 3 processes, or 5, of which one gets none."""
    return [8 * rank // processes for rank in range(processes + 1)] if processes < 5 else [0, 3, 3, 5, 7, 8]


def worker(rank, folder, processes):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=processes)
    model = Sides()
    pictures, texts, targets = batch()
    first, end = shares(processes)[rank : rank + 2]
    own, captions = slice(first, end), slice(2 * first, 2 * end)
    parts = step(DistributedDataParallel(model), pictures[own], texts[captions], targets[own], gather_processes)
    torch.save((parts, [parameter.grad for parameter in model.parameters()]), os.path.join(folder, f"{rank}.pt"))
    dist.destroy_process_group()


@pytest.mark.parametrize("processes", [2, 3, 5])
def test_several_processes_equal_one(tmp_path, processes):
    mp.start_processes(worker, (str(tmp_path), processes), nprocs=processes, start_method="fork")  # a fork needs no imports
    model = Sides()
    expected = step(model, *batch(), gather_alone)
    found = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(processes)]
    for name, value in expected.items():  # parts over the own rows alone differ by process; their mean is the global one
        assert abs(sum(parts[name] for parts, _ in found) / processes - value) < 1e-5, name
    for _, gradients in found:
        for ours, parameter in zip(gradients, model.parameters(), strict=True):
            torch.testing.assert_close(ours, parameter.grad, atol=1e-6, rtol=1e-4)
