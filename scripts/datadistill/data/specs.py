"""What fixes a split: a dataclass for each kind, stated once for the config, for names and for the functions that make it.

A kind is identified by what changes its content. Where its files lie and how they are checked is no part of it: images
and videos of the user's own are known by the split's name and its data set, files of ids and lists by their own names.
Light: Snakemake imports it while it parses.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from datadistill import keys
from datadistill.data.coco_releases import PARTS
from datadistill.data.derived_specs import ExclusionSplit, FractionSplit, UnionSplit, UnlabelledSplit
from datadistill.data.split_spec import SplitSpec
from datadistill.errors import UserError
from datadistill.files import read_json
from datadistill.keys import NAME, key
from datadistill.tasks.annotated_for import SCENE_TASKS, VOC_TASK
from datadistill.tasks.keypoint_schema import LARGEST_SIGMA
from datadistill.tasks.task import TASKS, get_task

# What `videos` says where clips are to be rendered.
RENDERED = "rendered"
_KEYPOINT_KEYS = ("flip_pairs", "sigmas")
_SIZE = "Largest width and height, pixels."


@dataclass(frozen=True, kw_only=True)
class RenderedSplit(SplitSpec):
    """Scenes that the renderer draws, with their annotations."""

    kind = "rendered"
    scene: str = key("What is rendered.", choices=tuple(SCENE_TASKS))
    domain: Literal["home", "away"] = key(
        "Look of the scenes: `away` has other backgrounds, light, blur and poses.", default="home"
    )
    images: int = key("Number of images.", minimum=1, maximum=1_000_000)
    size: tuple[int, int] = key(_SIZE, default=(192, 160), minimum=32, maximum=4096)
    seed: int = key("Seed of the scenes; different seeds never give the same scene.", default=0, minimum=0)
    num_keypoints: int | None = field(default=None, metadata={"identity": False})

    @property
    def task(self) -> str:
        """Whom the annotations serve."""
        return SCENE_TASKS[self.scene]

    @property
    def dataset(self) -> str:
        """Ids of rendered images follow from their seed: those of one scene are of one data set."""
        return f"rendered {self.scene}"

    @property
    def annotated_for(self) -> str | None:
        return self.task


@dataclass(frozen=True, kw_only=True)
class _Checked(SplitSpec):
    """Images that others made: some may be damaged."""

    max_damaged_fraction: float = key(
        "Part of the unlabelled images that may be damaged; more stops the run.",
        default=0.01,
        minimum=0,
        maximum=1,
        identity=False,
    )


@dataclass(frozen=True, kw_only=True)
class _Annotated(_Checked):
    """Images with a COCO file of the user's."""

    task: str = key("keypoints (sections 4 and 5) or objects (section 6).", choices=TASKS)
    # Of the whole config. A check alone: a file with another number is refused.
    num_keypoints: int | None = field(default=None, metadata={"identity": False})


@dataclass(frozen=True, kw_only=True)
class _Own(SplitSpec):
    """A data set of the user's: known by its name here, wherever it lies."""

    name: str = key("Its name in this config.", pattern=NAME)
    dataset: str | None = key(
        "Name of the data set whose image ids these are; null is the split's own name. Ids are compared within a data set, "
        "contents always.",
        default=None,
        min_length=1,
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "dataset", self.dataset or self.name)


@dataclass(frozen=True, kw_only=True)
class CocoRelease(_Annotated):
    """One of the paper's splits of COCO."""

    kind = "coco_release"
    part: str = key(
        "The paper's name of the split (section 5.1). Its number of images must be the official one, and none of them may be "
        "in val2017.",
        choices=tuple(PARTS),
    )
    drop_ids: tuple[str, ...] = key(
        "Files of image ids to leave out, after the number of images was compared with the official one: for an image whose "
        "file is the same as one of another split. Their names are part of the split's identity.",
        default=(),
        path=True,
    )
    # Of the whole config.
    data_root: str = field(default="", metadata={"identity": False})

    @property
    def annotated_for(self) -> str | None:
        return None if self.part == "un-120" else self.task

    def files(self) -> tuple[str, ...]:
        return self.drop_ids

    def folder(self) -> str | None:
        return str(Path(self.data_root, PARTS[self.part].images))


@dataclass(frozen=True, kw_only=True)
class CocoSplit(_Own, _Annotated):
    """The images of a COCO file."""

    kind = "coco"
    images: str = key(
        "Folder of the images, absolute or relative to the working directory.", path=True, identity=False, min_length=1
    )
    annotations: str = key(
        "COCO JSON: instances, person_keypoints or image_info. When the file changes, the split is made again.",
        path=True,
        identity=False,
        min_length=1,
    )
    labelled: bool = key(
        "Whether its annotations are kept. A damaged image is an error in a labelled split, and skipped into a ledger in an "
        "unlabelled one.",
        default=True,
    )
    drop_ids: tuple[str, ...] = key(
        "Files of image ids to leave out: one a line, or COCO JSON. Their names are part of the split's identity.",
        default=(),
        path=True,
    )

    flip_pairs: tuple[tuple[str, str], ...] | None = key(
        "Keypoints that change places in a mirrored image, by name: [[left, right], ...]; an empty list: none do. null is what "
        "the file's categories say (`flip_pairs`), else the pairs are found from the names, in all common styles.",
        default=None,
    )
    sigmas: Mapping[str, float] | float | None = key(
        "How far off a keypoint may be in the object keypoint similarity (OKS) that AP is of: one number for all keypoints, or "
        "each by its name. null is what the file's categories say (`sigmas`), else COCO's for its 17 keypoints and their mean, "
        "0.067, for all others.",
        default=None,
        above=0,
        maximum=LARGEST_SIGMA,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.keypoint_schema and not get_task(self.task).own_fields:
            stated = " and ".join(self.keypoint_schema)
            raise UserError(
                f"splits: {self.name}: {stated}: task {self.task} has no keypoints; leave out what is of these"
            )

    @property
    def keypoint_schema(self) -> dict[str, Any]:
        """What is said here of the keypoints of the file's categories."""
        stated = {"flip_pairs": keys.plain(self.flip_pairs), "sigmas": keys.plain(self.sigmas)}
        return {name: value for name, value in stated.items() if value is not None}

    @property
    def annotated_for(self) -> str | None:
        return self.task if self.labelled else None

    def identity(self) -> dict[str, Any]:
        # What isn't said is no part of it: there are splits from before these keys.
        identity = super().identity()
        return {name: value for name, value in identity.items() if value is not None or name not in _KEYPOINT_KEYS}

    def files(self) -> tuple[str, ...]:
        return self.annotations, *self.drop_ids

    def folder(self) -> str | None:
        return self.images


@dataclass(frozen=True, kw_only=True)
class VocSplit(_Own, _Checked):
    """Images with Pascal VOC annotations."""

    kind = "voc"
    task: ClassVar[str] = VOC_TASK
    images: str = key(
        "Folder of the images, absolute or relative to the working directory.", path=True, identity=False, min_length=1
    )
    annotations: str | None = key(
        "Folder of Pascal VOC annotations, one XML file an image; not needed where `labelled` is false. When a file of it changes, "
        "the split is made again.",
        default=None,
        path=True,
        identity=False,
        min_length=1,
    )
    list: str | None = key(
        "Text file that names the images, one a line, without suffix; null is all that have annotations. Its name is part of "
        "the split's identity; when the file changes, the split is made again.",
        default=None,
        path=True,
    )
    categories: tuple[str, ...] = key(
        "Names of the categories, in the order of their ids; an object of another is an error.", min_items=1
    )
    labelled: bool = key("Whether its annotations are read; false makes it a pool.", default=True)
    drop_empty_boxes: bool = key(
        "Whether boxes without area are left out, into the ledger; otherwise they are an error.", default=False
    )

    @property
    def annotated_for(self) -> str | None:
        return self.task if self.labelled else None

    def files(self) -> tuple[str, ...]:
        # Those of a pool without a list are not read, but name its images.
        return tuple(path for path in (self.list, self.annotations if self.labelled or not self.list else None) if path)

    def folder(self) -> str | None:
        return self.images


@dataclass(frozen=True, kw_only=True)
class FolderSplit(_Own, _Checked):
    """All images below a folder, without annotations."""

    kind = "folder"
    images: str = key("Folder of JPEG or PNG images, searched recursively.", path=True, identity=False, min_length=1)

    def folder(self) -> str | None:
        return self.images


@dataclass(frozen=True, kw_only=True)
class Clips:
    """Clips that the renderer draws."""

    domain: Literal["home", "away"] = key("Look of the scenes, as for rendered images.", default="away")
    count: int = key("Number of clips.", default=100, minimum=1, maximum=100_000)
    frames: int = key("Frames of a clip.", default=12, minimum=1, maximum=10_000)
    size: tuple[int, int] = key(_SIZE, default=(192, 160), minimum=32, maximum=4096)
    seed: int = key("Seed of the scenes.", default=0, minimum=0)


@dataclass(frozen=True, kw_only=True)
class VideosSplit(_Own):
    """One random frame of each of many videos."""

    kind = "videos"
    videos: str = key(
        "Folder of videos, searched recursively; or `rendered`, for clips as `clips` describes them.",
        path=True,
        identity=False,
        min_length=1,
    )
    list: str | None = key(
        "Text file that names the videos to sample from, relative to the folder, one a line; null is all. Its name is part "
        "of the split's identity.",
        default=None,
        path=True,
    )
    allow_outside: bool = key(
        "Whether names in `list` may be absolute or lead out of `videos` by `../`.", default=False, identity=False
    )
    clips: Clips = key("With `videos: rendered`: short clips of moving people.", default=Clips())
    count: int = key(
        "Number of frames, each of another video. Videos without a decodable frame go to a ledger, and sampling goes on.",
        minimum=1,
    )
    seed: int = key("Seed of the choice of videos and frames.", default=0, minimum=0)
    jpeg_quality: int = key("Quality of the written frames.", default=95, minimum=1, maximum=95)
    max_size: int | None = key(
        "Longest side of the written frames, pixels; null keeps the video's.", default=None, minimum=32
    )

    @property
    def rendered(self) -> bool:
        """Whether its clips are drawn by the renderer."""
        return self.videos == RENDERED

    def identity(self) -> dict[str, Any]:
        identity = super().identity()
        if not self.rendered:
            del identity["clips"]
        return identity

    def files(self) -> tuple[str, ...]:
        return (self.list,) if self.list else ()


KINDS: Mapping[str, type[SplitSpec]] = {
    cls.kind: cls
    for cls in (
        *(RenderedSplit, CocoRelease, CocoSplit, VocSplit, FolderSplit, VideosSplit),
        *(UnlabelledSplit, UnionSplit, FractionSplit),
    )
}

# What a script may be asked for: what a config says, and what follows from it.
_MADE: Mapping[str, type[SplitSpec]] = {**KINDS, ExclusionSplit.kind: ExclusionSplit}


def read_split_spec(values: Mapping[str, Any]) -> SplitSpec:
    """The spec of a split from plain values; `kind` says which.

    Raises `UserError` for an unknown kind or key, with the nearest known one, and for a missing key.
    """
    kind = values.get("kind")
    if kind not in _MADE:
        raise UserError(
            f"split kind {kind!r} is unknown{keys.did_you_mean(str(kind), KINDS)}; known: {', '.join(KINDS)}"
        )
    rest = {name: value for name, value in values.items() if name != "kind"}
    return keys.read(_MADE[kind], rest, f"a split of kind {kind!r}")


def split_spec(entry: Mapping[str, Any], config: Mapping[str, Any]) -> SplitSpec:
    """The spec of an entry of a checked config, with what the config says for all splits."""
    spec = read_split_spec(entry)
    if isinstance(spec, CocoRelease):
        spec = dataclasses.replace(spec, data_root=config["data_root"])
    if hasattr(spec, "num_keypoints"):
        spec = dataclasses.replace(spec, num_keypoints=config["num_keypoints"])
    return spec


def parse_split_spec(text: str, source: str | None = None) -> SplitSpec:
    """The spec that a script gets: its identity as JSON, and the file `source` that says where the user's files lie.

    Raises `UserError` as `read_split_spec` does, and when either can't be read.
    """
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(f"--spec isn't JSON ({error})") from None
    if source is None:
        return read_split_spec(values)
    if not Path(source).exists():
        raise UserError(f"{source}: no such file; Snakemake writes it when a run starts (but not with --no-hooks)")
    return read_split_spec({**values, **read_json(source)})


def made_of(spec: SplitSpec, ids: tuple[str, ...]) -> SplitSpec:
    """The same split made of splits with other names, as many as it has `sources`."""
    if not spec.sources:
        return spec
    return dataclasses.replace(spec, of=ids if isinstance(spec, UnionSplit) else ids[0])  # type: ignore[call-arg]
