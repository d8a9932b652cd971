"""Photographs for a first try, taken from what scikit-image and scikit-learn carry in their wheels: no download.

The packages are located, not imported (that alone would take seconds), and the files copied under names that say what
they show. Their licences are told in the packages: skimage/data and sklearn/datasets/images.
"""

import importlib.util
from pathlib import Path

from lexlip_es.errors import LexlipError

PICTURES = {
    "astronaut.png": ("skimage", "data/astronaut.png"),
    "brick_wall.png": ("skimage", "data/brick.png"),
    "cat.png": ("skimage", "data/chelsea.png"),
    "coffee.png": ("skimage", "data/coffee.png"),
    "coins.png": ("skimage", "data/coins.png"),
    "eye.jpg": ("skimage", "data/retina.jpg"),
    "flower.jpg": ("sklearn", "datasets/images/flower.jpg"),
    "galaxies.jpg": ("skimage", "data/hubble_deep_field.jpg"),
    "grass.png": ("skimage", "data/grass.png"),
    "gravel.png": ("skimage", "data/gravel.png"),
    "moon.png": ("skimage", "data/moon.png"),
    "motorcycle.png": ("skimage", "data/motorcycle_left.png"),
    "pagoda.jpg": ("sklearn", "datasets/images/china.jpg"),
    "photographer.png": ("skimage", "data/camera.png"),
    "rocket.jpg": ("skimage", "data/rocket.jpg"),
}
"""Name here -> (package, file in it): photographs only, the drawings and microscope slides beside them left out."""


def write_demo_pictures(folder: Path) -> int:
    """Put the photographs into `folder`, made if need be, and return how many it now holds.

    What is there already stays as it is. Raises `LexlipError` when the packages are missing, or rather than replace
    another file of the same name.
    """
    packages = {package: _locate(package) for package in sorted({package for package, _ in PICTURES.values()})}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, (package, file) in PICTURES.items():
            _put(folder / name, (packages[package] / file).read_bytes())
    except OSError as error:
        raise LexlipError(f"The demo pictures cannot be copied to {folder} ({error}).") from error
    return len(PICTURES)


def _locate(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise LexlipError("The demo's photographs are in packages that are missing: pip install 'lexlip-es[demo]'.")
    return Path(spec.submodule_search_locations[0])


def _put(target: Path, content: bytes) -> None:
    if target.exists():
        if target.read_bytes() != content:
            raise LexlipError(f"{target} is there already and is another file; choose a new folder for the demo.")
        return
    part = target.with_name(f".{target.name}.part")  # a copy that is interrupted leaves no half picture under its name
    part.write_bytes(content)
    part.replace(target)
