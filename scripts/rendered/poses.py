"""How people stand, run and sit: named poses as joint angles in degrees, and what mirrors them."""

from __future__ import annotations

import numpy as np

POSE_FIELDS = (
    "pitch", "roll", "bend", "lean", "twist", "head_yaw", "head_pitch",
    "hip_left", "hip_right", "spread_left", "spread_right", "knee_left", "knee_right",
    "arm_left", "arm_right", "raise_left", "raise_right", "turn_left", "turn_right", "elbow_left", "elbow_right",
    "lift",
)  # fmt: skip
_FIELD = {name: i for i, name in enumerate(POSE_FIELDS)}
_SWAP = np.array([_FIELD[n.replace("left", "R").replace("right", "left").replace("R", "right")] for n in POSE_FIELDS])
_NEGATED = np.array([-1.0 if n in ("roll", "lean", "twist", "head_yaw") else 1.0 for n in POSE_FIELDS])

# (centre, spread) of each angle: drawn uniformly from centre +- spread. What isn't named comes from "standing".
# pitch, bend: forward; hip, arm: forward swing; spread, raise: away from the body's midline; turn: inward rotation of
# the upper arm; lift: height of the lowest point above the ground, in body heights.
_STANDING = {
    "pitch": (0, 3), "roll": (0, 3), "bend": (3, 6), "lean": (0, 5), "twist": (0, 10),
    "head_yaw": (0, 30), "head_pitch": (5, 14),
    "hip_left": (0, 8), "hip_right": (0, 8), "spread_left": (6, 6), "spread_right": (6, 6),
    "knee_left": (6, 6), "knee_right": (6, 6),
    "arm_left": (5, 20), "arm_right": (5, 20), "raise_left": (14, 12), "raise_right": (14, 12),
    "turn_left": (15, 25), "turn_right": (15, 25), "elbow_left": (25, 25), "elbow_right": (25, 25), "lift": (0, 0),
}  # fmt: skip
POSES: dict[str, dict[str, tuple[float, float]]] = {
    "standing": {},
    "talking": {"elbow_left": (85, 35), "arm_left": (25, 25), "turn_left": (30, 40), "elbow_right": (45, 45)},
    "arms_folded": {
        "arm_left": (30, 10), "arm_right": (30, 10), "turn_left": (65, 15), "turn_right": (65, 15),
        "elbow_left": (100, 15), "elbow_right": (100, 15),
    },
    "hands_on_hips": {
        "arm_left": (-15, 10), "arm_right": (-15, 10), "raise_left": (45, 8), "raise_right": (45, 8),
        "turn_left": (80, 15), "turn_right": (80, 15), "elbow_left": (85, 15), "elbow_right": (85, 15),
    },
    "walking": {
        "hip_left": (27, 8), "hip_right": (-20, 7), "knee_left": (12, 10), "knee_right": (25, 15),
        "arm_left": (-25, 10), "arm_right": (28, 10), "elbow_left": (20, 15), "elbow_right": (30, 15), "bend": (5, 5),
    },
    "sitting": {
        "hip_left": (85, 8), "hip_right": (85, 8), "knee_left": (85, 14), "knee_right": (85, 14),
        "spread_left": (10, 10), "spread_right": (10, 10), "arm_left": (30, 20), "arm_right": (30, 20),
        "elbow_left": (50, 35), "elbow_right": (50, 35), "bend": (4, 10),
    },
    "reaching": {
        "arm_left": (135, 40), "raise_left": (20, 20), "elbow_left": (15, 15), "turn_left": (0, 10),
        "lean": (0, 12), "bend": (5, 15), "arm_right": (10, 30),
    },
    "waving": {"raise_left": (115, 30), "arm_left": (0, 15), "elbow_left": (45, 40), "turn_left": (0, 40)},
    "both_arms_up": {
        "raise_left": (145, 25), "raise_right": (145, 25), "elbow_left": (20, 20), "elbow_right": (20, 20),
        "arm_left": (0, 15), "arm_right": (0, 15),
    },
    "crouching": {
        "pitch": (20, 10), "hip_left": (100, 15), "hip_right": (95, 20), "knee_left": (125, 15),
        "knee_right": (120, 15), "spread_left": (14, 10), "spread_right": (14, 10), "bend": (20, 10),
        "arm_left": (50, 25), "arm_right": (50, 25), "elbow_left": (50, 40), "elbow_right": (50, 40),
    },
    "bending": {
        "pitch": (35, 15), "bend": (40, 15), "hip_left": (38, 12), "hip_right": (34, 12), "knee_left": (12, 10),
        "knee_right": (12, 10), "arm_left": (70, 25), "arm_right": (70, 25), "head_pitch": (-10, 15),
    },
    "running": {
        "pitch": (10, 6), "hip_left": (58, 14), "hip_right": (-32, 12), "knee_left": (75, 20), "knee_right": (45, 35),
        "arm_left": (-45, 12), "arm_right": (50, 14), "elbow_left": (85, 15), "elbow_right": (90, 15),
        "lift": (0.04, 0.04), "head_yaw": (0, 12),
    },
    "jumping": {
        "hip_left": (20, 35), "hip_right": (10, 35), "knee_left": (55, 45), "knee_right": (50, 45),
        "raise_left": (110, 50), "raise_right": (110, 50), "elbow_left": (30, 30), "elbow_right": (30, 30),
        "spread_left": (18, 15), "spread_right": (18, 15), "lift": (0.22, 0.1), "roll": (0, 14),
    },
    "star": {
        "raise_left": (120, 20), "raise_right": (120, 20), "spread_left": (38, 10), "spread_right": (38, 10),
        "elbow_left": (10, 10), "elbow_right": (10, 10), "lift": (0.14, 0.1), "arm_left": (0, 10), "arm_right": (0, 10),
    },
    "lunging": {
        "hip_left": (75, 12), "knee_left": (80, 14), "hip_right": (-28, 12), "knee_right": (25, 20),
        "arm_left": (40, 50), "arm_right": (40, 60), "raise_left": (40, 40), "raise_right": (40, 40), "bend": (12, 12),
    },
    "kicking": {
        "hip_left": (75, 25), "knee_left": (15, 15), "hip_right": (-8, 10), "pitch": (-12, 8), "raise_left": (55, 25),
        "raise_right": (65, 25), "arm_left": (-10, 30), "arm_right": (20, 30),
    },
    "throwing": {
        "arm_left": (60, 25), "raise_left": (60, 25), "raise_right": (85, 20), "arm_right": (-25, 20),
        "elbow_right": (90, 30), "turn_right": (-60, 30), "hip_left": (35, 15), "hip_right": (-18, 12),
        "twist": (0, 25), "lean": (0, 12),
    },
    "handstand": {
        "pitch": (180, 15), "roll": (0, 12), "raise_left": (168, 12), "raise_right": (168, 12), "arm_left": (0, 8),
        "arm_right": (0, 8), "elbow_left": (8, 8), "elbow_right": (8, 8), "hip_left": (5, 30), "hip_right": (5, 30),
        "spread_left": (22, 20), "spread_right": (22, 20), "head_pitch": (-20, 15),
    },
    "cartwheel": {
        "roll": (110, 45), "raise_left": (140, 20), "raise_right": (140, 20), "arm_left": (0, 10), "arm_right": (0, 10),
        "spread_left": (45, 12), "spread_right": (45, 12), "elbow_left": (8, 8), "elbow_right": (8, 8),
    },
    "diving": {
        "pitch": (80, 18), "arm_left": (150, 25), "arm_right": (150, 25), "hip_left": (-8, 15), "hip_right": (5, 18),
        "elbow_left": (15, 15), "elbow_right": (15, 15), "knee_left": (25, 25), "head_pitch": (-35, 10),
        "lift": (0.2, 0.15),
    },
}  # fmt: skip
POSE_WEIGHTS = {
    "home": {
        "standing": 20, "talking": 10, "arms_folded": 5, "hands_on_hips": 6, "walking": 18, "sitting": 14,
        "reaching": 8, "waving": 6, "both_arms_up": 3, "crouching": 5, "bending": 5,
    },
    "away": {
        "standing": 8, "walking": 8, "running": 18, "jumping": 11, "star": 6, "lunging": 10, "kicking": 8,
        "throwing": 8, "handstand": 4, "cartwheel": 4, "diving": 4, "both_arms_up": 5, "crouching": 6, "reaching": 4,
        "hands_on_hips": 4,
    },
}  # fmt: skip


def sample_pose(rng: np.random.Generator, name: str) -> np.ndarray:
    """Joint angles (len(POSE_FIELDS),) of a named pose; left and right are swapped half of the time."""
    table = {**_STANDING, **POSES[name]}
    centre, spread = np.array([table[n] for n in POSE_FIELDS], float).T
    pose = centre + spread * rng.uniform(-1, 1, len(POSE_FIELDS))
    return mirror_pose(pose) if rng.uniform() < 0.5 else pose


def mirror_pose(pose: np.ndarray) -> np.ndarray:
    """The same pose seen in a mirror: left and right swapped."""
    return pose[_SWAP] * _NEGATED


def sample_yaw(rng: np.random.Generator) -> tuple[float, str]:
    """The direction a person faces: degrees (0 to the camera, 90 to the right of the screen) and its name."""
    base, name = ((0, "front"), (180, "back"), (90, "right"), (-90, "left"))[rng.choice(4, p=(0.42, 0.18, 0.2, 0.2))]
    return float(base + rng.uniform(-32, 32)), name
