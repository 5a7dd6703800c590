"""What this project's training step and labels cost beside plain detectron2, both sides by turns in one process.

Trained by turns, on the same batches: the network as detectron2 builds it, and accelerated. Labelled by turns, on the same
photographs, boxes and transforms:

- `whole model`: one image and one transform at a time through all of detectron2's network, resized in the loop;
- `given boxes`: the same, but the network is given the boxes, so that it computes no proposals and no box head;
- `ours`: `refine`, in float32 and in bfloat16;
- `network alone`: the calls of the network that `refine` made, with its inputs at hand: no reading, resizing, averaging
  or decoding.

`ours` on sizes that it sees for the first time, beside its later passes, is what a new image size costs.

Every ratio is the median over rounds, so that what else the machine does falls on both sides. The price of bfloat16, for a trained model:
boxes and keypoints of the plain pass that change, and AP with either.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from changed_detections import changes

from datadistill.devices import choose_device
from datadistill.errors import UserError, run_script
from datadistill.files import read_json, write_json

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("training_step", "labels", "price_of_bfloat16")
PHOTOS = ROOT.parent / "shared" / "data" / "coco-mini"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--config", type=Path, default=ROOT / "benchmarks" / "people.yaml", help="network and transforms"
    )
    parser.add_argument("--model", type=Path, help="a trained model.pth of that network; else its heads are random")
    parser.add_argument("--photos", type=Path, default=PHOTOS, help="folder with images/ and annotations/ of coco-mini")
    parser.add_argument("--side", type=int, default=224, help="short side of training images, pixels")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument(
        "--rounds", type=int, default=5, help="timed steps, and passes over the photographs, of each side"
    )
    parser.add_argument("--images", type=int, default=3, help="photographs to label")
    parser.add_argument("--evaluate", type=int, default=20, help="photographs to evaluate in either precision")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument(
        "--split", type=Path, help="a split of a run (COCO JSON) to evaluate on, instead of photographs"
    )
    parser.add_argument("--parts", nargs="+", default=PARTS, choices=PARTS, help="what to measure")
    parser.add_argument(
        "--precisions",
        nargs="+",
        default=["float32", "bfloat16"],
        choices=("float32", "bfloat16"),
        help="of labels; a processor without instructions for bfloat16 needs many times as long in it, and without it "
        "its price is not asked for",
    )
    parser.add_argument(
        "--clock",
        default="wall",
        choices=("wall", "cpu"),
        help="cpu: seconds of all threads, on a machine that is shared",
    )
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--output", type=Path, help="write the figures as JSON")
    arguments = parser.parse_args()

    torch.set_num_threads(arguments.threads)
    bench = Bench(arguments, choose_device(arguments.device))
    figures: dict[str, Any] = {"machine": _machine(bench.device), "threads": arguments.threads}
    figures |= {"clock": arguments.clock, "torch": torch.__version__}
    for part in arguments.parts:
        if part == "price_of_bfloat16" and "bfloat16" not in arguments.precisions:
            continue
        figures[part] = getattr(bench, part)()
    print(json.dumps(figures, indent=1))
    if arguments.output:
        write_json(arguments.output, figures, indent=1)


def _machine(device: str) -> str:
    if device != "cpu":
        return torch.cuda.get_device_name()
    rows = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [row.split(":", 1)[1].strip() for row in rows if "model name" in row]
    return f"{os.cpu_count()} cores of {names[0] if names else platform.machine()}"


class Bench:
    """The networks, photographs and specs of a run of this program."""

    def __init__(self, arguments: argparse.Namespace, device: str) -> None:
        from datadistill.workflow.config import load_config
        from datadistill.workflow.experiments import build_experiments

        self.arguments, self.device = arguments, device
        experiments = build_experiments(load_config(arguments.config))
        label_set = next(iter(experiments.label_sets.values()), None)
        if label_set is None or label_set.refinement is None:
            raise UserError(
                f"{arguments.config}: needs a label set of keypoints; its network and transforms are measured"
            )
        self.spec = label_set.teacher.spec
        self.refinement = label_set.refinement.spec.of_every_box
        self.predictions = label_set.predictions.spec
        self.split = self._split("person_keypoints_val.json")
        self.categories = sorted(self.split["categories"], key=lambda category: category["id"])

    def _split(self, name: str) -> dict[str, Any]:
        path = self.arguments.photos / "annotations" / name
        if not path.exists():
            raise UserError(f"{path}: no such file; --photos names a folder with coco-mini's images/ and annotations/")
        split = read_json(path)
        for image in split["images"]:
            image["file_name"] = str(self.arguments.photos / "images" / image["file_name"])
        return split

    def _networks(self, model: Path | None = None) -> tuple[torch.nn.Module, torch.nn.Module, Any]:
        """detectron2's network, the same accelerated, and their config: those of a model file, or the config's, untrained."""
        from datadistill.model.acceleration import accelerate
        from datadistill.model.network import build_config, import_detectron2

        import_detectron2()
        from detectron2.modeling import build_model

        cfg = build_config(self.spec, self.categories, device=self.device)
        saved = torch.load(model, map_location="cpu", weights_only=True) if model else None
        if saved:
            cfg = type(cfg).load_cfg(saved["config"])
            cfg.MODEL.DEVICE = self.device
        torch.manual_seed(0)
        plain = build_model(cfg)
        if saved:
            plain.load_state_dict(saved["model"])
        else:
            # Heatmaps of random weights may overflow, which detectron2's decoder refuses; flat ones cost as much.
            torch.nn.init.zeros_(plain.roi_heads.keypoint_head.score_lowres.weight)
        ours = copy.deepcopy(plain)
        accelerate(ours)
        return plain, ours, cfg

    def _seconds(self, work: Callable[[], Any]) -> float:
        if self.device != "cpu":
            torch.cuda.synchronize()
        clock = time.process_time if self.arguments.clock == "cpu" else time.perf_counter
        start = clock()
        work()
        if self.device != "cpu":
            torch.cuda.synchronize()
        return clock() - start

    def _rounds(self, sides: Mapping[str, Callable[[], Any]], warm: int) -> dict[str, list[float]]:
        """Seconds of each side in each round, after `warm` untimed ones."""
        times: dict[str, list[float]] = {name: [] for name in sides}
        for number in range(warm + self.arguments.rounds):
            for name, work in sides.items():
                seconds = self._seconds(work)
                if number >= warm:
                    times[name].append(seconds)
        return times

    # --- training -----------------------------------------------------------------------------------------------------

    def training_step(self) -> dict[str, Any]:
        """Seconds of a step before and after: forward, losses, backward, optimizer, on batches read beforehand."""
        import tempfile

        from detectron2.solver import build_optimizer
        from detectron2.utils.events import EventStorage

        from datadistill.tasks.keypoint_schema import flip_pairs
        from datadistill.tasks.task import get_task
        from datadistill.train.batches import TrainingImages, build_loader, load_source
        from datadistill.train.sampling import Deal, MixedSampler

        steps = self.arguments.rounds + 2
        schedule = dataclasses.replace(
            self.spec.training, batch_size=self.arguments.batch, train_scales=(self.arguments.side,)
        )
        self.spec = dataclasses.replace(self.spec, training=schedule)
        plain, ours, cfg = self._networks()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "labelled.json"
            write_json(path, self._split("person_keypoints_labelled.json"))
            source = load_source(path, "labelled", get_task(self.spec.task))
        sampler = MixedSampler(len(source), 0, 1.0, steps * self.arguments.batch, self.spec.seed)
        images = TrainingImages(cfg, sampler, [source], flip_pairs(self.categories[0]).permutation)
        deal = Deal(sampler, [source.ratios], self.arguments.batch)
        batches = list(build_loader(images, deal, iterations=range(steps)))

        def side(model: torch.nn.Module) -> Callable[[], None]:
            model.train()
            optimizer = build_optimizer(cfg, model)
            for group in optimizer.param_groups:
                group["lr"] = 1e-5
            waiting = iter(batches)

            def step() -> None:
                batch = next(waiting)
                torch.manual_seed(0)
                total = sum(model(batch).values())
                optimizer.zero_grad()
                total.backward()
                optimizer.step()

            return step

        with EventStorage():
            times = self._rounds({"before": side(plain), "after": side(ours)}, warm=2)
        return {
            "batch": self.arguments.batch,
            "short_side": self.arguments.side,
            "seconds_before": statistics.median(times["before"]),
            "seconds_after": statistics.median(times["after"]),
            "ratio": _ratio(times["before"], times["after"]),
        }

    # --- labels -------------------------------------------------------------------------------------------------------

    def labels(self) -> dict[str, Any]:
        """Seconds an image of every way to the keypoints of all transforms, and their ratios."""
        from datadistill.detections import Detections
        from datadistill.label import refine as refining

        plain, ours, cfg = self._networks(self.arguments.model)
        plain.eval()
        ours.eval()
        people = [a for a in self.split["annotations"] if not a["iscrowd"]]
        with_people = {a["image_id"] for a in people}
        images = [image for image in self.split["images"] if image["id"] in with_people][: self.arguments.images]
        index = {image["id"]: i for i, image in enumerate(images)}
        chosen = sorted((a for a in people if a["image_id"] in index), key=lambda a: index[a["image_id"]])
        boxes = np.array([a["bbox"] for a in chosen], np.float32)
        boxes[:, 2:] += boxes[:, :2]
        given = Detections(
            np.array(list(index), np.int64),
            np.array([index[a["image_id"]] for a in chosen], np.int64),
            boxes,
            np.ones(len(chosen), np.float32),
            np.array([a["category_id"] for a in chosen], np.int64),
        )
        split = {**self.split, "images": images}
        # As many detections as there are people: those of random heads would be a hundred an image.
        plain.roi_heads.box_predictor.test_topk_per_image = max(1, round(len(given) / len(images)))

        def ours_in(precision: str) -> Callable[[], Any]:
            spec = dataclasses.replace(self.refinement, precision=precision)
            return lambda: refining.refine(
                ours, cfg, self.categories, split, given, spec, workers=self.arguments.threads
            )

        calls: dict[str, list[tuple[Any, ...]]] = {precision: [] for precision in self.arguments.precisions}
        first: dict[str, float] = {}
        network = refining._Refinement._heatmaps
        for precision, made in calls.items():

            def recorded(work: Any, *inputs: Any, made: list[tuple[Any, ...]] = made) -> torch.Tensor:
                made.append((work, *inputs))
                return network(work, *inputs)

            refining._Refinement._heatmaps = recorded  # type: ignore[method-assign]
            try:
                first[precision] = self._seconds(ours_in(precision))
            finally:
                refining._Refinement._heatmaps = network  # type: ignore[method-assign]

        def alone(precision: str) -> Callable[[], None]:
            def work() -> None:
                with torch.inference_mode():
                    for inputs in calls[precision]:
                        network(*inputs)

            return work

        sides = {
            "whole model": lambda: self._loop(plain, images, None, given),
            "given boxes": lambda: self._loop(plain, images, self.categories, given),
        }
        for precision in calls:
            sides |= {f"ours {precision}": ours_in(precision), f"network alone {precision}": alone(precision)}
        times = self._rounds(sides, warm=0)
        ratios = {f"{above} / {below}": _ratio(times[above], times[below]) for above, below in _compared(calls)}
        for precision, seconds in first.items():
            ratios[f"first pass / later ones, ours {precision}"] = seconds / statistics.median(
                times[f"ours {precision}"]
            )
        return {
            "images": len(images),
            "boxes": len(given),
            "transforms": len(self.refinement.transforms),
            "seconds_per_image": {name: statistics.median(values) / len(images) for name, values in times.items()},
            "ratios": ratios,
        }

    def _loop(self, model: torch.nn.Module, images: list[dict[str, Any]], boxes: Any, given: Any) -> None:
        """A plain loop: every image under every transform by itself; with `boxes` the network is given those."""
        from detectron2.data.detection_utils import read_image
        from detectron2.structures import Boxes, Instances

        from datadistill.transforms import resolve

        with torch.inference_mode():
            for place, image in enumerate(images):
                pixels = read_image(image["file_name"], format="BGR")
                corners = torch.from_numpy(given.boxes[given.image_index == place])
                for transform in self.refinement.transforms:
                    view = resolve(image["height"], image["width"], (transform,))[0]
                    inputs = self._resized(pixels, view)
                    detected = None
                    if boxes is not None:
                        detected = [Instances((view.height, view.width))]
                        seen = view.boxes(corners.double(), image["height"], image["width"]).float()
                        detected[0].pred_boxes = Boxes(seen.to(model.device))
                        detected[0].pred_classes = torch.zeros(len(seen), dtype=torch.int64, device=model.device)
                    entry = {"image": inputs, "height": image["height"], "width": image["width"]}
                    model.inference([entry], detected)

    @staticmethod
    def _resized(pixels: np.ndarray, view: Any) -> torch.Tensor:
        from detectron2.data.transforms import ResizeTransform

        array = ResizeTransform(*pixels.shape[:2], view.height, view.width).apply_image(pixels)
        tensor = torch.from_numpy(np.ascontiguousarray(array.transpose(2, 0, 1)))[None]
        return next(iter(view.pixels(tensor)))

    # --- what bfloat16 costs ------------------------------------------------------------------------------------------

    def price_of_bfloat16(self) -> dict[str, Any]:
        """The plain pass in either precision: what changes, and AP."""
        from datadistill.evaluate.coco_metrics import score
        from datadistill.label.predict import predict
        from datadistill.tasks.task import get_task

        task = get_task(self.spec.task)
        _, ours, cfg = self._networks(self.arguments.model)
        ours.eval()
        whole = read_json(self.arguments.split) if self.arguments.split else self.split
        images = whole["images"][: self.arguments.evaluate]
        ids = [image["id"] for image in images]
        chosen = set(ids)
        split = {
            **whole,
            "images": images,
            "annotations": [a for a in whole["annotations"] if a["image_id"] in chosen],
        }
        found, figures = {}, {}
        for precision in ("float32", "bfloat16"):
            spec = dataclasses.replace(self.predictions, keypoints=True, precision=precision)
            found[precision] = predict(ours, cfg, self.categories, split, ids, spec, workers=self.arguments.threads)
            metrics = score(split, task.results(found[precision]), task)["metrics"]
            figures[f"AP_{precision}"] = metrics["AP"]
        single, reduced = found["float32"], found["bfloat16"]
        return {"images": len(ids), **figures, **changes(single, reduced)}


def _compared(precisions: Iterable[str]) -> list[tuple[str, str]]:
    """Which side's seconds are divided by which other's."""
    pairs = []
    for precision in precisions:
        ours = f"ours {precision}"
        pairs += [("whole model", ours), ("given boxes", ours), (ours, f"network alone {precision}")]
    return pairs


def _ratio(numerator: list[float], denominator: list[float]) -> float:
    """The median of the rounds' ratios."""
    return statistics.median(above / below for above, below in zip(numerator, denominator, strict=True))


if __name__ == "__main__":
    run_script(main)
