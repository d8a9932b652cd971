"""Generated pictures with captions that say what is on them: a coloured square on one side of a coloured ground."""

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

if any(find_spec(package) is None for package in ("torch", "timm", "transformers", "accelerate", "onnx")):
    collect_ignore_glob = ["test_*.py"]  # the train extra is not installed

TINY = Path(__file__).parents[2] / "training" / "configs" / "tiny.toml"
COLOURS = {
    "red": (220, 30, 30),
    "green": (30, 200, 40),
    "blue": (30, 60, 220),
    "yellow": (230, 220, 40),
    "white": (240, 240, 240),
}
SIDES = ("left", "right")


def draw(colour: str, ground: str, side: str, size: int = 64) -> np.ndarray:
    pixels = np.full((size, size, 3), COLOURS[ground], np.uint8)
    start = size // 8 if side == "left" else size // 2
    pixels[size // 4 : 3 * size // 4, start : start + 3 * size // 8] = COLOURS[colour]
    return pixels


@pytest.fixture(scope="session")
def square_pictures(tmp_path_factory) -> Path:
    """40 pictures with two captions each; train.txt (30), dev.txt (10); broken.jpg is captioned and listed, but no picture."""
    folder = tmp_path_factory.mktemp("squares")
    images = folder / "images"
    images.mkdir()
    rows, files = [], []
    for colour in COLOURS:
        for ground in COLOURS:
            for side in SIDES:
                if colour == ground:
                    continue
                name = f"{colour}-{ground}-{side}.png"
                Image.fromarray(draw(colour, ground, side)).save(images / name)
                rows += [(name, f"a {colour} square on the {side}"), (name, f"{ground} ground with a square that is {colour}")]
                files.append(name)
    (images / "broken.jpg").write_bytes(b"not a picture")
    rows.append(("broken.jpg", "nothing at all"))
    order = np.random.default_rng(0).permutation(len(files))
    shuffled = [files[i] for i in order]
    (folder / "captions.jsonl").write_text("\n".join(json.dumps({"image": name, "caption": text}) for name, text in rows))
    (folder / "train.txt").write_text("\n".join([*shuffled[:30], "broken.jpg"]))
    (folder / "dev.txt").write_text("\n".join(shuffled[30:]))
    return folder


@pytest.fixture(scope="session")
def data_settings(square_pictures) -> list[str]:
    return [f"data.images={square_pictures / 'images'}", f"data.captions={square_pictures / 'captions.jsonl'}"]


@pytest.fixture(scope="session")
def tiny_run(data_settings, tmp_path_factory):
    """One run of tiny.toml: its recipe, checkpoint folder, reported lines and metrics."""
    from lexlip_training.recipe import load_recipe
    from lexlip_training.train import train

    output = tmp_path_factory.mktemp("runs")
    recipe = load_recipe(TINY, [*data_settings, f"output={output}"])
    import torch

    lines: list[str] = []
    torch.set_num_threads(1)
    checkpoint = train(recipe, report=lines.append, command=["lexlip-es", "train", "tiny.toml"])
    metrics = [json.loads(line) for line in (output / "tiny" / "metrics.jsonl").read_text().splitlines()]
    return recipe, checkpoint, lines, metrics


@pytest.fixture(autouse=True)
def one_thread():
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)
