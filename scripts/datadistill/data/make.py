"""From the spec of a split to the split: each kind has one function."""

from __future__ import annotations

from collections.abc import Mapping

from datadistill.data.derived_specs import ExclusionSplit, FractionSplit, UnionSplit, UnlabelledSplit
from datadistill.data.exclusion import leave_out
from datadistill.data.sources import from_coco, from_folder, from_release, from_scenes, from_voc
from datadistill.data.specs import CocoRelease, CocoSplit, FolderSplit, RenderedSplit, VideosSplit, VocSplit
from datadistill.data.split_spec import SplitSpec
from datadistill.data.splits import Made, Split, fraction_of, read_split, union, unlabelled
from datadistill.data.videos import sample_videos
from datadistill.errors import UserError

SCENES = "scenes"
"""What the file of rendered scenes is called among the inputs."""


def make_split(spec: SplitSpec, inputs: Mapping[str, str], *, images: str, workers: int = 1) -> Made:
    """Make the split that a spec describes.

    `inputs` maps names to files: the splits that it is made of, or `scenes`, what the renderer wrote. `images` is the
    folder through which a split with images of its own names them (frames of videos are written there).
    """
    match spec:
        case CocoSplit():
            return from_coco(spec, images=images, workers=workers)
        case CocoRelease():
            return from_release(spec, images=images, workers=workers)
        case VocSplit():
            return from_voc(spec, images=images, workers=workers)
        case FolderSplit():
            return from_folder(spec, images=images, workers=workers)
        case VideosSplit():
            return sample_videos(spec, images=images, workers=workers)
        case RenderedSplit():
            return from_scenes(spec, images=images, scenes=_file(inputs, SCENES), workers=workers)
        case UnlabelledSplit():
            return Made(unlabelled(_split(inputs, spec.of)))
        case UnionSplit():
            return Made(union([_split(inputs, name) for name in spec.of], spec.of))
        case FractionSplit():
            return Made(fraction_of(_split(inputs, spec.of), spec.fraction, spec.seed, spec.name))
        case ExclusionSplit():
            return leave_out(_split(inputs, spec.of), {name: _split(inputs, name) for name in spec.without}, spec.name)
    raise UserError(f"splits of kind {spec.kind!r} can't be made")


def _file(inputs: Mapping[str, str], name: str) -> str:
    if name not in inputs:
        raise UserError(f"{name!r} is needed as an input; given: {', '.join(inputs) or 'none'}")
    return inputs[name]


def _split(inputs: Mapping[str, str], name: str) -> Split:
    return read_split(_file(inputs, name))
