"""A small COCO file of keypoints and photos of noise: what the tests of data are made of."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

NAMES = ["nose", "left_eye", "right_eye"]


def photo(seed: int, width: int = 48, height: int = 32) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8))


def coco(count: int = 4) -> dict[str, Any]:
    """A small valid keypoint file: image ids descending, one person an image."""
    return {
        "info": {"year": 2024},
        "licenses": [{"id": 1, "name": "made here"}],
        "images": [
            {"id": 10 * (count - i), "file_name": f"{count - i}.jpg", "width": 48, "height": 32} for i in range(count)
        ],
        "annotations": [
            {
                "id": i + 1,
                "image_id": 10 * (i + 1),
                "category_id": 1,
                "bbox": [4, 5, 20, 16],
                "area": 111.5,
                "iscrowd": 0,
                "segmentation": [[4, 5, 24, 5, 24, 21]],
                "keypoints": [6, 7, 2, 8, 9, 1, 0, 0, 0],
                "num_keypoints": 2,
            }
            for i in range(count)
        ],
        "categories": [{"id": 1, "name": "person", "keypoints": NAMES, "skeleton": [[1, 2]]}],
    }
