"""A checkpoint becomes a model folder that encodes without torch: ONNX files, a query table, the same identity.

A smaller file replaces the fp32 one only if R@10 on dev stays within 0.3 points of it; without dev data nothing can be judged,
and the weights are kept in fp16, which loses nothing that a nine-bit engine would see.
"""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from safetensors.numpy import save as save_tensors
from torch import Tensor

from lexlip_es.encoders.onnx import OnnxPictureEncoder, OnnxTextEncoder
from lexlip_es.errors import LexlipError
from lexlip_es.images import PictureError, open_picture
from lexlip_es.model_folder import ModelFolder, file_sha256
from lexlip_es.weights import SparseWeights
from lexlip_training.checkpoint import load_checkpoint, put_in_place, write_json
from lexlip_training.data import Split, load_split, tokenise
from lexlip_training.export import TOLERANCE, Precision, disagreement, picture_onnx, save, shrink, text_onnx
from lexlip_training.lexlip import LexLip
from lexlip_training.recipe import DataRecipe
from lexlip_training.table import Table, TableSettings, plain_table, tower_rows, tower_table
from lexlip_training.validating import score_rows

Report = Callable[[str], None]
SMALLEST_FIRST: tuple[Precision, ...] = ("int8 weights", "fp16 weights")
LOSS_ALLOWED = 0.3  # points of R@10 on dev
MAX_MEGABYTES = 60.0  # of a folder with its text tower; a larger tower is left out


def _silent(_: str) -> None:
    pass


def pack(
    checkpoint: Path,
    out: Path,
    *,
    data: DataRecipe | None = None,
    pruning: Mapping[str, int] | None = None,
    max_megabytes: float = MAX_MEGABYTES,
    report: Report = _silent,
) -> Path:
    """Write a model folder from a checkpoint; an existing folder at `out` is replaced when the new one is whole.

    `data` names pictures, captions and the dev split that judge smaller files; `pruning` replaces the checkpoint's numbers of
    terms; the text tower is added if the folder stays below `max_megabytes`. Raises `LexlipError`.
    """
    source = ModelFolder.open(checkpoint)
    model = load_checkpoint(checkpoint)
    partial = out.with_name(f"{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    shutil.copyfile(source.tokenizer_path, partial / "tokenizer.json")
    facts = source.config["provenance"]
    files: dict[str, dict[str, Any]] = {}

    table = make_table(model, source)
    write_table(partial / "query_table.safetensors", table, model)
    files["table"] = _entry(partial / "query_table.safetensors", settings=facts.get("table"))

    judge = None if data is None else Judge(source, model, table, data)
    report("exporting the picture tower")
    pictures = picture_onnx(model, source.picture_spec.size)
    _check_pictures(pictures, model, source, judge, report)
    files["pictures"] = _smallest(pictures, partial / "pictures.onnx", judge.pictures if judge else None, report)
    if facts.get("text_side", "tower") == "tower":
        report("exporting the text tower")
        config_now = _config(source, files, pruning)
        write_json(partial / "config.json", config_now)  # the text encoder that judges it opens the folder
        entry = _smallest(text_onnx(model), partial / "texts.onnx", judge.texts(partial) if judge else None, report)
        megabytes = sum(path.stat().st_size for path in partial.iterdir()) / 1e6
        if megabytes < max_megabytes:
            files["texts"] = entry
        else:
            (partial / "texts.onnx").unlink()
            report(f"the text tower is left out: the folder would have {megabytes:.0f} MB")
    write_json(partial / "config.json", _config(source, files, pruning))
    _write_papers(source, partial, files)
    return put_in_place(partial, out)


def make_table(model: LexLip, source: ModelFolder) -> Table:
    """The query table as the checkpoint's provenance says that dev chose it; a plain one for a bag."""
    settings = source.config["provenance"].get("table")
    if source.config["provenance"].get("text_side") == "bag":
        return plain_table(model, len(source.lexicon))
    chosen = TableSettings(**settings) if settings else TableSettings()
    return tower_table(model, tower_rows(model, source.lexicon, chosen.terms), chosen, len(source.lexicon))


def write_table(path: Path, table: Table, model: LexLip) -> None:
    """Write `query_table.safetensors`, its terms as vocabulary ids."""
    ids = model.active.cpu().numpy()[table.terms].astype("int32")
    path.write_bytes(save_tensors({"indptr": table.indptr, "terms": ids, "weights": table.weights}))


class Judge:
    """R@10 on dev, text to picture, with one side taken from an exported file and the other kept as it is."""

    def __init__(self, source: ModelFolder, model: LexLip, table: Table, data: DataRecipe) -> None:
        """Load the dev split; the checkpoint's picture weights and the table's query weights are the fixed other sides."""
        split, _ = load_split(data, "dev")
        self.source, self.model = source, model
        self.pixels, self.rows = _pixels(split, source)
        self.split = split
        pieces = tokenise(split.texts, source.tokenizer_path, source.max_tokens)
        self.looked_up = table.encode(pieces, model.architecture.active)  # (T, A)
        self._pictures: Tensor | None = None

    def pictures(self, path: Path) -> float:
        """R@10 of a `pictures.onnx` against the query table."""
        weights = self._dense(OnnxPictureEncoder(path).encode_pictures(self.pixels))
        if self._pictures is None:
            self._pictures = weights  # the fp32 file comes first: it stands for the torch model, with which it agrees
        return score_rows(weights, self.rows, self.looked_up, self.split).text_to_picture.at_10

    def texts(self, folder: Path) -> Callable[[Path], float]:
        """A function that gives the R@10 of a `texts.onnx` lying in an otherwise finished folder."""

        def judge(path: Path) -> float:
            assert self._pictures is not None  # pictures are packed first
            texts = self._dense(OnnxTextEncoder(path, ModelFolder.open(folder)).encode_texts(self.split.texts))
            return score_rows(self._pictures, self.rows, texts, self.split).text_to_picture.at_10

        return judge

    def _dense(self, weights: SparseWeights) -> Tensor:
        places = self.model.place_of.cpu()[torch.from_numpy(weights.terms.astype("int64"))]
        dense = torch.zeros(len(weights), self.model.architecture.active)
        rows = torch.arange(len(weights)).repeat_interleave(torch.from_numpy(weights.counts))  # (nnz,)
        dense[rows, places] = torch.from_numpy(weights.weights)
        return dense


def _pixels(split: Split, source: ModelFolder) -> tuple[list[Any], list[int]]:
    pixels, rows = [], []
    for row in range(len(split)):
        try:
            pixels.append(open_picture(split.picture(row), source.picture_spec).pixels)
            rows.append(row)
        except PictureError:
            continue
    return pixels, rows


def _check_pictures(graph: onnx.ModelProto, model: LexLip, source: ModelFolder, judge: Judge | None, report: Report) -> None:
    """Refuse a fp32 graph that does not say what torch says, on dev pictures or, without any, on noise."""
    size = source.picture_spec.size
    noise = np.random.default_rng(0).integers(0, 256, (4, size, size, 3), np.uint8)
    pixels = np.stack(judge.pixels[:32]) if judge else noise  # (B, S, S, 3)
    with torch.no_grad():
        expected = model.picture_weights(torch.from_numpy(pixels)).numpy()
    worst = disagreement(graph, {"pixels": pixels}, expected, model.active.numpy())
    report(f"pictures.onnx in fp32 differs from torch by at most {worst:.1e} on {len(pixels)} pictures")
    if worst > TOLERANCE:
        raise LexlipError(
            f"the exported picture tower differs from torch by {worst:.1e}: install the versions of the train extra."
        )


def _smallest(full: onnx.ModelProto, path: Path, judge: Callable[[Path], float] | None, report: Report) -> dict[str, Any]:
    """Write the smallest file that is good enough, and return its entry for `config.json`."""
    if judge is None:
        save(shrink(full, "fp16 weights"), path)
        return _entry(path, precision="fp16 weights")
    save(full, path)
    reference = judge(path)
    report(f"{path.name}, fp32: {path.stat().st_size / 1e6:.1f} MB, dev R@10 {reference:.2f}")
    for precision in SMALLEST_FIRST:
        save(shrink(full, precision), path)
        found = judge(path)
        report(f"{path.name}, {precision}: {path.stat().st_size / 1e6:.1f} MB, dev R@10 {found:.2f}")
        if found >= reference - LOSS_ALLOWED:
            return _entry(path, precision=precision, dev_recall_at_10={"fp32": reference, precision: found})
    save(full, path)
    return _entry(path, precision="fp32", dev_recall_at_10={"fp32": reference})


def _entry(path: Path, **facts: Any) -> dict[str, Any]:
    return {"name": path.name, "sha256": file_sha256(path), "bytes": path.stat().st_size} | facts


def _config(source: ModelFolder, files: Mapping[str, Any], pruning: Mapping[str, int] | None) -> dict[str, Any]:
    config: dict[str, Any] = json.loads(json.dumps(dict(source.config)))
    return config | {"files": dict(files), "pruning": dict(pruning or config["pruning"])}


def _write_papers(source: ModelFolder, folder: Path, files: Mapping[str, Mapping[str, Any]]) -> None:
    """The card, with a list of the packed files, and the terms of the weights."""
    card = (source.path / "README.md").read_text(encoding="utf-8")
    rows = "\n".join(
        f"| `{entry['name']}` | {entry['bytes'] / 1e6:.1f} MB | {entry.get('precision', 'fp32')} | {_judged(entry)} |"
        for entry in files.values()
    )
    packed = f"\n## Packed files\n\n| file | size | precision | dev R@10 |\n| --- | --- | --- | --- |\n{rows}\n"
    (folder / "README.md").write_text(card + packed, encoding="utf-8")
    licence = source.config["provenance"].get("licence", "unknown")
    (folder / "MODEL_LICENSE").write_text(
        f"Terms of use of the weights of the model '{source.name}'\n\n{licence}\n", encoding="utf-8"
    )


def _judged(entry: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value:.2f}" for name, value in entry.get("dev_recall_at_10", {}).items()) or "not measured"
