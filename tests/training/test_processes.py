"""Two processes have the loss and the gradients of one process on the same global batch (a fault of the official code)."""

import os

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch.nn.parallel import DistributedDataParallel

from lexlip_training.lexlip import Outputs
from lexlip_training.losses import gather_alone, gather_processes, step_losses
from lexlip_training.recipe import LossRecipe

RECIPE = LossRecipe(flops_picture=0.1, flops_text=0.1, labels_picture=0.1, labels_text=0.1)
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
    outputs = Outputs(picture, text, torch.log1p(text.relu()))
    parts = step_losses(outputs, RECIPE, 1.0, rows=torch.arange(len(pictures)), labels=(*LABELS, targets), gather=gather)
    sum(parts.values()).backward()
    return {name: part.item() for name, part in parts.items()}


def worker(rank, folder):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    model = Sides()
    pictures, texts, targets = batch()
    own, captions = slice(4 * rank, 4 * rank + 4), slice(8 * rank, 8 * rank + 8)
    parts = step(DistributedDataParallel(model), pictures[own], texts[captions], targets[own], gather_processes)
    torch.save((parts, [parameter.grad for parameter in model.parameters()]), os.path.join(folder, f"{rank}.pt"))
    dist.destroy_process_group()


def test_two_processes_equal_one(tmp_path):
    mp.start_processes(worker, (str(tmp_path),), nprocs=2, start_method="fork")  # a fork needs no imports
    model = Sides()
    expected = step(model, *batch(), gather_alone)
    found = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2)]
    for parts, gradients in found:
        for name in ("contrast", "flops_picture", "flops_text"):
            assert abs(parts[name] - expected[name]) < 1e-5, name
        for ours, parameter in zip(gradients, model.parameters(), strict=True):
            torch.testing.assert_close(ours, parameter.grad, atol=1e-6, rtol=1e-4)
