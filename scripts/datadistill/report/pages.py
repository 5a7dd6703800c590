"""Small Markdown pages: how a label set's thresholds came out, and how good its labels are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from datadistill.report.markdown import markdown_table
from datadistill.tasks.task import Task

DASH = "\u2013"
COUNTED = {
    "with_keypoints": "instances with keypoints (not crowds)",
    "all": "all instances (not crowds)",
}


def thresholds_page(thresholds: Mapping[str, Any], *, title: str, note: str) -> str:
    """Target, chosen threshold and achieved average of every threshold of a label set (its `thresholds.json`).

    The target of both ways of counting instances is given, and which of them counted.
    """
    report = thresholds["report"]
    labelled, unlabelled = report["labelled"], report["unlabelled"]
    several = len(thresholds["categories"]) > 1
    per_category = thresholds["per_category"] and several
    rows = [
        _threshold_row(
            "instances per image" + (", one global threshold (not in force)" if per_category else ""),
            thresholds["overall"],
        )
    ]
    if thresholds["keypoints"] is not None:
        rows.append(_threshold_row("keypoints per instance", thresholds["keypoints"]))
    blocks = [
        f"# Thresholds: {title}",
        note,
        markdown_table(
            ["what", "target", "threshold", "achieved", "kept", "of", "outcome"],
            rows,
            [False, True, True, True, True, True, False],
        ),
        "\n".join(
            [
                f"- Labelled split: {labelled['images']:,} images. Unlabelled split: {unlabelled['images']:,} images, "
                f"{unlabelled['detections']:,} detections, {unlabelled['kept']:,} kept "
                f"({unlabelled['instances_per_image']:.4f} an image).",
                *(
                    f"- {'**Counted**' if how == report['count_instances'] else 'Not counted'}: {COUNTED[how]}, "
                    f"{average:.4f} per labelled image."
                    for how, average in labelled["instances_per_image"].items()
                ),
                *_without_keypoints(unlabelled),
            ]
        ),
    ]
    if several:
        blocks.append(
            "## Categories\n\n" + _category_table(thresholds, per_category) + "\n\nInstances per image, by category."
        )
    return "\n\n".join(block for block in blocks if block) + "\n"


def _without_keypoints(unlabelled: Mapping[str, Any]) -> list[str]:
    count = unlabelled.get("without_visible_keypoints")
    return [] if count is None else [f"- {count:,} kept instances have no keypoint above the threshold: a box only."]


def _threshold_row(what: str, threshold: Mapping[str, Any]) -> list[str]:
    return [
        what,
        _number(threshold["target"]),
        _number(threshold["threshold"]),
        _number(threshold["achieved"]),
        f"{threshold['kept']:,}",
        f"{threshold['available']:,}",
        threshold["outcome"],
    ]


def _category_table(thresholds: Mapping[str, Any], per_category: bool) -> str:
    names = thresholds["report"]["names"]
    ordered = sorted(thresholds["categories"].items(), key=lambda item: (-(item[1]["target"] or 0.0), int(item[0])))
    headings = ["category", "target", "threshold", "achieved", "outcome"]
    right = [False, True, True, True, False]
    rows = []
    for number, chosen in ordered:
        row = [
            names.get(str(number), str(number)),
            *(_number(chosen[key]) for key in ("target", "threshold", "achieved")),
        ]
        row.append(chosen["outcome"])
        if per_category:
            row.append(_number(thresholds["overall_by_category"][number]["achieved"]))
        rows.append(row)
    if per_category:
        headings, right = [*headings, "achieved with the global threshold"], [*right, True]
    return markdown_table(headings, rows, right)


def quality_page(reports: Mapping[str, Mapping[str, Any]], *, task: Task, title: str, note: str) -> str:
    """Quality of label sets of one split against its hidden truth (`label_quality.compare_quality`), side by side."""
    from datadistill.tasks.similarity import BoxOverlap

    boxes, own = BoxOverlap(), task.similarity()
    first = next(iter(reports.values()))
    blocks = [
        f"# Label quality: {title}",
        note,
        f"Against the hidden truth of {first['images']:,} images. A label is right if it matches a free true instance "
        f"of its category with {boxes.phrase}"
        + (f" (boxes) or {own.phrase} ({own.name})." if own.name != boxes.name else "."),
        _overall_table(reports),
        _means_sentence(first, len(reports)),
    ]
    if first.get("keypoints"):
        blocks += ["## Keypoints", _keypoint_tables(reports)]
    if len(first["boxes"]["by_category"]) > 1:
        blocks += ["## By category", _by_category_table(reports)]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _overall_table(reports: Mapping[str, Mapping[str, Any]]) -> str:
    rows = []
    for name, report in reports.items():
        # An entry with an overall is about instances, by the similarity that it is named after.
        for kind, entry in report.items():
            if not isinstance(entry, Mapping) or "overall" not in entry:
                continue
            rows.append([name, kind, *_instance_cells(entry["overall"]), *_count_cells(entry)])
            if len(entry["by_category"]) > 1:
                means = [_number(entry["mean"][key], 3) for key in ("precision", "recall", "f1")]
                rows.append([name, "mean of categories", *means, "", "", "", ""])
    headings = ["labels", "what", "precision", "recall", "F1", "right", "labels", "true", "ignored"]
    return markdown_table(headings, rows, [False, False, *[True] * 7])


def _means_sentence(first: Mapping[str, Any], sets: int) -> str:
    """Which categories the means are of."""
    if len(first["boxes"]["by_category"]) < 2:
        return ""
    over = first["boxes"]["mean_over"]
    where = "all of these have labels" if sets > 1 else "there are labels"
    return (
        f"Means of categories are over the same ones{' for all' * (sets > 1)}: recall and F1 over the {over['recall']} with "
        f"true instances, precision over the {over['precision']} of them where {where}."
    )


def _instance_cells(figures: Mapping[str, Any]) -> list[str]:
    return [_number(figures[key], 3) for key in ("precision", "recall", "f1")]


def _count_cells(entry: Mapping[str, Any]) -> list[str]:
    return [*(f"{entry['overall'][key]:,}" for key in ("matched", "labels", "truth")), f"{entry['ignored']:,}"]


def _keypoint_tables(reports: Mapping[str, Mapping[str, Any]]) -> str:
    keys = ("accuracy", "mean_error", "precision", "recall")
    overall = [
        [
            name,
            *(_number(report["keypoints"][key], 3) for key in keys),
            *(f"{report['keypoints'][key]:,}" for key in ("correct", "compared", "generated", "not_in_truth", "truth")),
        ]
        for name, report in reports.items()
    ]
    headings = ["labels", "accuracy", "mean error", "precision", "recall", "correct", "compared"]
    headings += ["generated", "not in the truth", "true"]
    types = zip(*(report["keypoints"]["by_type"] for report in reports.values()), strict=True)
    by_type = [
        [entries[0]["name"], *(_number(entry[key], 3) for entry in entries for key in ("accuracy", "mean_error"))]
        for entries in types
    ]
    prefix = [f"{name}: " if len(reports) > 1 else "" for name in reports]
    type_headings = ["keypoint", *(f"{start}{key}" for start in prefix for key in ("accuracy", "mean error"))]
    explanation = (
        "On instances matched by their boxes. A keypoint is correct where its own similarity to the true one (COCO's, "
        "with its fall-off) is at least 0.5: accuracy is over generated keypoints whose true one is labelled, "
        "precision over all generated, recall over all true ones. Mean error: distance as a share of the square "
        "root of the true box's area."
    )
    return "\n\n".join(
        [
            explanation,
            markdown_table(headings, overall, [False, *[True] * 9]),
            markdown_table(type_headings, by_type, [False, *[True] * (len(type_headings) - 1)]),
        ]
    )


def _by_category_table(reports: Mapping[str, Mapping[str, Any]]) -> str:
    entries = zip(*(report["boxes"]["by_category"] for report in reports.values()), strict=True)
    ordered = sorted(entries, key=lambda group: (-group[0]["truth"], group[0]["id"]))
    prefix = [f"{name}: " if len(reports) > 1 else "" for name in reports]
    headings = [
        "category",
        "true",
        *(f"{start}{what}" for start in prefix for what in ("labels", "precision", "recall")),
    ]
    rows = [_category_cells(group) for group in ordered]
    return markdown_table(headings, rows, [False, *[True] * (len(headings) - 1)])


def _category_cells(group: Sequence[Mapping[str, Any]]) -> list[str]:
    cells = [group[0]["name"], f"{group[0]['truth']:,}"]
    for entry in group:
        cells += [f"{entry['labels']:,}", _number(entry["precision"], 3), _number(entry["recall"], 3)]
    return cells


def _number(value: float | None, decimals: int = 4) -> str:
    return DASH if value is None else f"{value:.{decimals}f}"
