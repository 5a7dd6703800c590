"""The README of an exported model: how to load it, what it takes, what it gives. Its code is run by a test."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from detectron2.config import CfgNode

    from datadistill.deploy.plain_config import Companion

Categories = Sequence[Mapping[str, Any]]


def detectron2_readme(cfg: CfgNode, categories: Categories, companions: Iterable[Companion]) -> str:
    """Of a folder with `config.yaml` and `model.pth`."""
    companions = list(companions)
    needs = "".join(
        f"\n`{c.name}.py` must be imported before the config is read: it registers what detectron2 doesn't have"
        + (f", and needs {' and '.join(c.packages)}" if c.packages else "")
        + ". Without it detectron2 refuses the config.\n"
        for c in companions
    )
    code = [
        *(f"import {c.name}" for c in companions),
        "from detectron2.config import get_cfg",
        "from detectron2.engine import DefaultPredictor",
        "",
        "cfg = get_cfg()",
        *(c.setup for c in companions if c.setup),
        'cfg.merge_from_file("config.yaml")',
        "predictor = DefaultPredictor(cfg)",
    ]
    return f"""# A detector for detectron2

From within this folder (elsewhere set `cfg.MODEL.WEIGHTS` to the path of `model.pth`):

{_block(code)}

`predictor(image)["instances"]` are boxes{_and_keypoints(cfg)}, in the image's pixels. `image` is
(H, W, 3) uint8 in BGR, as `cv2.imread` reads it. On a GPU: `cfg.MODEL.DEVICE = "cuda"`.
{needs}
{_facts(cfg, categories)}"""


def torchscript_readme(cfg: CfgNode, categories: Categories) -> str:
    """Of a folder with `model.ts`."""
    keypoints = ", keypoints" if cfg.MODEL.KEYPOINT_ON else ""
    code = [
        "import numpy, torch",
        "import torchvision  # its operators are in the network",
        "from PIL import Image, ImageOps",
        "",
        'model = torch.jit.load("model.ts")',
        'image = ImageOps.exif_transpose(Image.open("photo.jpg")).convert("RGB")',
        f"scale = min({cfg.INPUT.MIN_SIZE_TEST} / min(image.size), {cfg.INPUT.MAX_SIZE_TEST} / max(image.size))",
        "size = [int(scale * side + 0.5) for side in image.size]",
        "pixels = numpy.array(image.resize(size, Image.BILINEAR))[:, :, ::-1].copy()",
        f"boxes, scores, classes{keypoints} = model(torch.from_numpy(pixels).permute(2, 0, 1))",
        "back = torch.tensor([side / small for side, small in zip(image.size, size)])",
        "boxes = boxes * back.repeat(2)",
        *(["keypoints[:, :, :2] *= back"] if keypoints else []),
    ]
    gives = "`keypoints` (N, K, 3): x, y and score; " if keypoints else ""
    return f"""# A detector as TorchScript

It needs torch and torchvision, and computes on the CPU:

{_block(code)}

`model` takes one image, (3, H, W) in BGR, uint8 or float from 0 to 255, resized as above. It gives
`boxes` (N, 4): left, top, right, bottom; `scores` (N,); `classes` (N,);
{gives}the last lines turn pixels of the resized image into those of the original one.

{_facts(cfg, categories)}"""


def _block(lines: Iterable[str]) -> str:
    return "\n".join(["```python", *lines, "```"])


def _and_keypoints(cfg: CfgNode) -> str:
    return ", classes, scores and keypoints (x, y, score)" if cfg.MODEL.KEYPOINT_ON else ", classes and scores"


def _facts(cfg: CfgNode, categories: Categories) -> str:
    names = ", ".join(f"{number} {category['name']}" for number, category in enumerate(categories))
    lines = [
        f"- classes: {names} (categories.json, in this order)",
        f"- test scale: shorter side {cfg.INPUT.MIN_SIZE_TEST}, longer side {cfg.INPUT.MAX_SIZE_TEST} at most",
        f"- pixels: {cfg.INPUT.FORMAT}, 0 to 255",
        f"- detections: scores above {cfg.MODEL.ROI_HEADS.SCORE_THRESH_TEST:g}, {cfg.TEST.DETECTIONS_PER_IMAGE} an image at most",
    ]
    if cfg.MODEL.KEYPOINT_ON:
        lines.insert(1, f"- keypoints: {', '.join(categories[0]['keypoints'])}")
    return "\n".join(lines) + "\n"
