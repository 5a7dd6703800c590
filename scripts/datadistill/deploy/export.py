"""A trained model as a folder that other programs load: detectron2's config and weights, or TorchScript.

What comes out needs nothing of this project. Weights are those of the network as detectron2 builds it: whatever computes it
faster here (`model.acceleration`) leaves names and tensors as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from datadistill.deploy.readme import detectron2_readme, torchscript_readme
from datadistill.errors import UserError
from datadistill.files import atomic_write, write_json

CONFIG, WEIGHTS, SCRIPT, README, CATEGORIES = "config.yaml", "model.pth", "model.ts", "README.md", "categories.json"


def export_detectron2(saved: Mapping[str, Any], folder: Path) -> list[Path]:
    """Write `config.yaml` and `model.pth` for detectron2, categories, modules that must be imported first, and a README.

    `saved`: a model file, as `model_file.read_model` read it. The pair is built and loaded once before it is written. Returns
    the paths. Raises `UserError` for a network with parts that only this project, or somebody else, defines.
    """
    from datadistill.model.network import import_detectron2

    import_detectron2()
    import torch
    import yaml
    from detectron2.config import CfgNode

    from datadistill.deploy.plain_config import differences, plain_config

    plain, companions = plain_config(CfgNode.load_cfg(saved["config"]))
    written = differences(plain)
    _load_strictly(written, bool(companions), saved["model"])
    note = "".join(f"# Needs {companion.name}.py beside it: see {README}.\n" for companion in companions)
    _text(folder / CONFIG, note + yaml.safe_dump(written, sort_keys=False))
    with atomic_write(folder / WEIGHTS, "wb") as stream:
        torch.save({"model": saved["model"]}, stream)
    for companion in companions:
        _text(folder / f"{companion.name}.py", companion.source)
    _shared(saved, folder, detectron2_readme(plain, saved["categories"], companions))
    modules = [f"{companion.name}.py" for companion in companions]
    return [folder / name for name in (CONFIG, WEIGHTS, *modules, CATEGORIES, README)]


def _load_strictly(written: Mapping[str, Any], extended: bool, tensors: Mapping[str, Any]) -> None:
    """Build what the config file will say, and load the weights; another name or shape is an error of ours."""
    from detectron2.config import CfgNode, get_cfg
    from detectron2.modeling import build_model

    cfg = get_cfg()
    cfg.set_new_allowed(extended)
    cfg.merge_from_other_cfg(CfgNode(dict(written)))
    build_model(cfg).load_state_dict(tensors)


def export_torchscript(saved: Mapping[str, Any], folder: Path) -> list[Path]:
    """Write `model.ts`, categories and a README. Arguments and errors as in `export_detectron2`; see `torchscript`.

    Raises `UserError` also where detectron2 can't trace: release 0.6 wants caffe2 for it, which torch has given up.
    """
    from datadistill.model.network import import_detectron2

    import_detectron2()
    import torch
    from detectron2.config import CfgNode
    from detectron2.modeling import build_model

    try:
        from datadistill.deploy.torchscript import script
    except ImportError as error:
        raise UserError(
            f"torchscript: this detectron2 can't trace ({error}); the later commit of envs/README.md can, or export for "
            "detectron2"
        ) from None

    cfg = CfgNode.load_cfg(saved["config"])
    cfg.MODEL.DEVICE = "cpu"
    model = build_model(cfg)
    model.load_state_dict(saved["model"])
    # A trace keeps it: whoever loads one wants numbers, not gradients.
    scripted = script(model.eval().requires_grad_(False), cfg)
    with atomic_write(folder / SCRIPT, "wb") as stream:
        torch.jit.save(scripted, stream)
    _shared(saved, folder, torchscript_readme(cfg, saved["categories"]))
    return [folder / name for name in (SCRIPT, CATEGORIES, README)]


def _shared(saved: Mapping[str, Any], folder: Path, readme: str) -> None:
    write_json(folder / CATEGORIES, list(saved["categories"]), indent=1)
    _text(folder / README, readme)


def _text(path: Path, text: str) -> None:
    with atomic_write(path) as stream:
        stream.write(text)


FORMATS: Mapping[str, Callable[[Mapping[str, Any], Path], Sequence[Path]]] = {
    "detectron2": export_detectron2,
    "torchscript": export_torchscript,
}
