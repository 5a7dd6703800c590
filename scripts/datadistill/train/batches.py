"""Minibatches for training: draws of `MixedSampler`, read and augmented by detectron2's own functions."""

from __future__ import annotations

import contextlib
import copy
import io
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.data import DatasetFromList, MetadataCatalog, detection_utils
from detectron2.data import transforms as T
from detectron2.data.datasets import load_coco_json
from detectron2.structures import BoxMode, Instances

from datadistill.errors import UserError
from datadistill.tasks.task import Task
from datadistill.train.sampling import GENERATED, LABELLED, Deal, MixedSampler, augmentation_generator


@dataclass(frozen=True)
class Source:
    """The images of one source that training may draw, in detectron2's dataset format (serialised, shared by workers).

    `ratios` (N,) are height / width of the images: by them a batch is dealt to processes.
    """

    name: str
    records: DatasetFromList
    left_out: int
    ratios: np.ndarray

    def __len__(self) -> int:
        return len(self.records)


def load_source(path: str | Path, name: str, task: Task, image_ids: set[int] | None = None) -> Source:
    """Read a split or label set with detectron2's loader and keep the images that the task trains on.

    `image_ids` restricts it to a fraction. Raises `UserError` when nothing is left.
    """
    dataset = f"datadistill/{name}/{path}"
    with contextlib.redirect_stdout(io.StringIO()):
        logging.getLogger("detectron2.data.datasets.coco").setLevel(logging.ERROR)
        records = load_coco_json(str(path), "", dataset)
    MetadataCatalog.pop(dataset)
    chosen = [r for r in records if image_ids is None or r["image_id"] in image_ids]
    kept = [r for r in chosen if task.keep_for_training(r["annotations"])]
    if not kept:
        raise UserError(f"{path}: none of its {len(chosen)} images has an annotation to train on (task {task.name})")
    ratios = np.array([record["height"] / record["width"] for record in kept])
    return Source(name, DatasetFromList(kept, copy=False), len(chosen) - len(kept), ratios)


class TrainingImages(torch.utils.data.Dataset):
    """slot of the run -> one training example in detectron2's format.

    Adds to detectron2's fields `slot` and `source` (`LABELLED` or `GENERATED`); instances of generated labels carry
    `gt_generated`. `permutation`: for each keypoint of a mirrored instance the index of the original one
    (`FlipPairs.permutation`); None without keypoints. With `name_crowds` instances carry `crowd_boxes` (see `model.region_sampling`).
    """

    def __init__(
        self,
        cfg: CfgNode,
        sampler: MixedSampler,
        sources: Sequence[Source],
        permutation: Sequence[int] | None,
        *,
        name_crowds: bool = False,
    ) -> None:
        self._sampler = sampler
        self._sources = [source.records for source in sources]
        self._short_sides = tuple(cfg.INPUT.MIN_SIZE_TRAIN)
        self._max_size = cfg.INPUT.MAX_SIZE_TRAIN
        self._format = cfg.INPUT.FORMAT
        self._name_crowds = name_crowds
        self._flip_indices = None if permutation is None else np.asarray(permutation)

    def __len__(self) -> int:
        return self._sampler.total

    def __getitem__(self, slot: int) -> dict[str, Any]:
        draw = self._sampler.draw(slot)
        record = copy.deepcopy(self._sources[draw.source][draw.index])
        image = _read(record, self._format)
        rng = augmentation_generator(self._sampler.seed, slot)
        short_side = int(rng.choice(self._short_sides))
        augmentations: list[T.Augmentation] = [T.ResizeShortestEdge(short_side, self._max_size)]
        if rng.random() < 0.5:
            augmentations.append(T.RandomFlip(prob=1.0))
        # The augmentations above have nothing left to chance: what is drawn is drawn from `rng`.
        augmented = T.AugInput(image)
        transforms = T.AugmentationList(augmentations)(augmented)
        height, width = augmented.image.shape[:2]
        annotations = [
            detection_utils.transform_instance_annotations(
                annotation, transforms, (height, width), keypoint_hflip_indices=self._flip_indices
            )
            for annotation in record["annotations"]
            if not annotation.get("iscrowd", 0)
        ]
        instances = detection_utils.annotations_to_instances(annotations, (height, width))
        if self._name_crowds:
            instances.crowd_boxes = _crowd_boxes(record["annotations"], transforms).expand(len(instances), -1, 4)
        instances.gt_generated = torch.full((len(instances),), draw.source == GENERATED)
        return {
            "image": torch.as_tensor(np.ascontiguousarray(augmented.image.transpose(2, 0, 1))),
            "instances": _without_empty(instances),
            "image_id": record["image_id"],
            "slot": slot,
            "source": draw.source,
            "height": record["height"],
            "width": record["width"],
        }


def _read(record: dict[str, Any], image_format: str) -> np.ndarray:
    """The image of a record, upright."""
    try:
        image = detection_utils.read_image(record["file_name"], format=image_format)
        detection_utils.check_image_size(record, image)
    except Exception as error:
        # Also what a worker process raises comes through as this one sentence.
        raise UserError(
            f"{record['file_name']}: image {record['image_id']} can't be read as the split says ({type(error).__name__}); it has "
            "changed since the split was made: restore it, or make the split again"
        ) from None
    return image


def _crowd_boxes(annotations: Sequence[dict[str, Any]], transforms: T.TransformList) -> torch.Tensor:
    """(1, M, 4): the crowd regions of an image, transformed."""
    boxes = [
        BoxMode.convert(annotation["bbox"], annotation["bbox_mode"], BoxMode.XYXY_ABS)
        for annotation in annotations
        if annotation.get("iscrowd", 0)
    ]
    boxes = transforms.apply_box(np.array(boxes, dtype=float).reshape(-1, 4)) if boxes else np.zeros((0, 4))
    return torch.as_tensor(boxes, dtype=torch.float32)[None]


def _without_empty(instances: Instances) -> Instances:
    return detection_utils.filter_empty_instances(instances, by_mask=False)


def build_loader(
    images: TrainingImages, deal: Deal, *, iterations: range, workers: int = 0
) -> Iterator[list[dict[str, Any]]]:
    """The minibatches of `iterations` for one process: lists of examples, in order, whatever the number of workers."""
    loader = torch.utils.data.DataLoader(
        images,
        batch_sampler=_Slots(deal, iterations),
        num_workers=workers,
        collate_fn=_as_list,
        # Else the loader would take a number from torch's own generator when it starts, and a resumed run would differ.
        generator=torch.Generator(),
        worker_init_fn=_one_thread,
        # Workers hold detectron2's dataset in shared memory, and outlive nothing.
        multiprocessing_context="fork" if workers else None,
    )
    return _sentences(loader)


def _sentences(loader: torch.utils.data.DataLoader) -> Iterator[list[dict[str, Any]]]:
    """What a loader gives. PyTorch puts the traceback of a worker into the message of its error: what was said is its last line."""
    try:
        yield from loader
    except UserError as error:
        raise UserError(str(error).strip().splitlines()[-1].partition("UserError: ")[2] or str(error)) from None


@dataclass(frozen=True)
class _Slots:
    """The slots of each iteration for one process, made when they are asked for: a long run has millions."""

    deal: Deal
    iterations: range

    def __iter__(self) -> Iterator[list[int]]:
        return map(self.deal.slots, self.iterations)

    def __len__(self) -> int:
        return len(self.iterations)


def _as_list(examples: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return examples


def _one_thread(_: int) -> None:
    torch.set_num_threads(1)


__all__ = ["GENERATED", "LABELLED", "Source", "TrainingImages", "build_loader", "load_source"]
