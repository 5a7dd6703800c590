"""Articulated people: a posed 3-D skeleton, drawn back to front as shaded limbs.

Body frame: x towards the person's left, y up, z forward; lengths in units of the person's standing height. Camera frame:
X right on the screen, Y up, Z towards the viewer, so that a person of yaw 0 faces the camera and has the left hand on
the right of the picture. The projection is orthographic. Angles are degrees.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from rendered.canvas import Canvas, Color, hsv, mix, random_color, shade

KEYPOINTS = (
    "nose",
    "left_eye",
    "right_eye",
    "left_ear",
    "right_ear",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_hip",
    "right_hip",
    "left_knee",
    "right_knee",
    "left_ankle",
    "right_ankle",
)
# One-based pairs, as COCO gives them.
SKELETON = (
    (16, 14), (14, 12), (17, 15), (15, 13), (12, 13), (6, 12), (7, 13), (6, 7), (6, 8), (7, 9),
    (8, 10), (9, 11), (2, 3), (1, 2), (1, 3), (2, 4), (3, 5), (4, 6), (5, 7),
)  # fmt: skip

HEAD, TORSO, PELVIS = 1, 2, 3
ARM = {"left": (4, 5), "right": (6, 7)}  # upper arm, forearm with hand
LEG = {"left": (8, 9), "right": (10, 11)}  # thigh, shin with foot
SIDES = (("left", 1.0), ("right", -1.0))

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


@dataclass(frozen=True)
class Body:
    """What a person looks like: lengths in standing heights, colours as RGB."""

    girth: float
    shoulder: float
    hip: float
    torso: float
    arm: float
    leg: float
    head: float
    skin: Color
    hair: Color
    hair_style: str  # "short" | "long" | "bald" | "cap" | "bun"
    shirt: Color
    shirt_second: Color
    shirt_pattern: str  # "plain" | "stripes" | "halves" | "band"
    sleeves: float  # 0 none, 0.5 half, 1 long
    bottom: Color
    bottom_style: str  # "trousers" | "shorts" | "skirt"
    shoes: Color
    closure: str  # "plain" | "zip" | "collar": what the front of the shirt shows
    number: bool  # a block on the back of the shirt
    line: float = 0.5  # width of the dark outline, in pixels at a size of 100


@dataclass(frozen=True)
class Figure:
    """A person in a scene. `size` is the standing height in pixels, `ground` the screen y on which the pose stands."""

    body: Body
    pose: np.ndarray  # (len(POSE_FIELDS),) degrees, lift in body heights
    pose_name: str
    yaw: float
    tilt: float  # the camera looks down by this angle
    x: float
    ground: float
    size: float
    facing: str = field(default="front")


@dataclass(frozen=True)
class Joints:
    """A posed skeleton in camera axes and body heights, origin at the pelvis."""

    points: dict[str, np.ndarray]  # name -> (3,)
    pelvis: np.ndarray  # (3, 3), columns are the body's left, up and forward
    chest: np.ndarray
    head: np.ndarray
    lowest: float


def _rx(deg: float) -> np.ndarray:
    """Turns +y towards +z: a forward lean for a body, a backward swing for a hanging limb."""
    c, s = np.cos(np.deg2rad(deg)), np.sin(np.deg2rad(deg))
    return np.array([[1.0, 0, 0], [0, c, -s], [0, s, c]])


def _ry(deg: float) -> np.ndarray:
    """Turns +z towards +x."""
    c, s = np.cos(np.deg2rad(deg)), np.sin(np.deg2rad(deg))
    return np.array([[c, 0, s], [0, 1.0, 0], [-s, 0, c]])


def _rz(deg: float) -> np.ndarray:
    """Turns +x towards +y; moves a hanging limb towards +x."""
    c, s = np.cos(np.deg2rad(deg)), np.sin(np.deg2rad(deg))
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])


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


def sample_body(rng: np.random.Generator, domain: str, team: Color | None = None) -> Body:
    """A random person. `team` is a shirt colour shared by players of an `away` scene."""
    skin_tone = rng.uniform()
    skin = mix((246, 212, 182), (92, 58, 38), skin_tone**1.7)
    skin = mix(skin, (230, 150, 120), rng.uniform(0, 0.15))
    hair = (
        ((35, 26, 22), (70, 44, 28), (120, 78, 40), (196, 158, 92), (150, 70, 36), (168, 168, 170))[
            rng.choice(6, p=(0.34, 0.24, 0.14, 0.12, 0.07, 0.09))
        ]
        if skin_tone < 0.6
        else (28, 22, 20)
    )
    away = domain == "away"
    if away:
        shirt = team if team is not None and rng.uniform() < 0.75 else hsv(rng.uniform(), rng.uniform(0.8, 1.0), 0.95)
        bottom = ((245, 245, 245), (25, 25, 30), shade(shirt, 0.6), (20, 40, 120))[rng.integers(4)]
        bottom_style = rng.choice(("shorts", "trousers", "skirt"), p=(0.72, 0.2, 0.08))
        sleeves = rng.choice((0.0, 0.5, 1.0), p=(0.3, 0.55, 0.15))
        second = (250, 250, 250) if rng.uniform() < 0.6 else (20, 20, 25)
        shoes = hsv(rng.uniform(), 0.9, 1.0) if rng.uniform() < 0.6 else (250, 250, 250)
    else:
        shirt = random_color(rng, (0.15, 0.65), (0.35, 0.92))
        bottom = (
            hsv(rng.uniform(0.57, 0.65), rng.uniform(0.3, 0.6), rng.uniform(0.25, 0.6)),
            random_color(rng, (0.05, 0.3), (0.15, 0.5)),
            random_color(rng, (0.15, 0.5), (0.3, 0.8)),
        )[rng.choice(3, p=(0.45, 0.35, 0.2))]
        bottom_style = rng.choice(("shorts", "trousers", "skirt"), p=(0.12, 0.7, 0.18))
        sleeves = rng.choice((0.0, 0.5, 1.0), p=(0.08, 0.42, 0.5))
        second = random_color(rng, (0.1, 0.6), (0.4, 0.98))
        shoes = random_color(rng, (0.1, 0.5), (0.12, 0.5))
    child = rng.uniform() < 0.15
    return Body(
        girth=rng.uniform(0.86, 1.22),
        shoulder=rng.uniform(0.098, 0.122),
        hip=rng.uniform(0.052, 0.066),
        torso=rng.uniform(0.27, 0.3),
        arm=rng.uniform(0.150, 0.172),
        leg=rng.uniform(0.205, 0.225) if child else rng.uniform(0.225, 0.25),
        head=rng.uniform(0.094, 0.104) if child else rng.uniform(0.076, 0.088),
        skin=skin,
        hair=hair,
        hair_style=str(rng.choice(("short", "long", "bald", "cap", "bun"), p=(0.46, 0.22, 0.07, 0.14, 0.11))),
        shirt=shirt,
        shirt_second=second,
        shirt_pattern=str(rng.choice(("plain", "stripes", "halves", "band"), p=(0.52, 0.24, 0.08, 0.16))),
        sleeves=float(sleeves),
        bottom=bottom,
        bottom_style=str(bottom_style),
        shoes=shoes,
        closure=str(rng.choice(("plain", "zip", "collar"), p=(0.3, 0.25, 0.45))),
        number=bool(rng.uniform() < (0.75 if away else 0.15)),
    )


def solve(body: Body, pose: np.ndarray, yaw: float, tilt: float) -> Joints:
    """Forward kinematics."""
    a = dict(zip(POSE_FIELDS, pose, strict=True))
    pelvis = _rx(tilt) @ _ry(yaw) @ _rz(-a["roll"]) @ _rx(a["pitch"])
    chest = pelvis @ _rx(a["bend"]) @ _rz(-a["lean"]) @ _ry(a["twist"])
    head = chest @ _ry(a["head_yaw"]) @ _rx(a["head_pitch"])
    waist = pelvis @ np.array([0, 0.3 * body.torso, 0])
    neck = waist + chest @ np.array([0, 0.7 * body.torso, 0.0])
    skull = neck + chest @ np.array([0, 0.03, 0.006]) + head @ np.array([0, 1.02 * body.head, 0.012])
    points = {"pelvis": np.zeros(3), "waist": waist, "neck": neck, "skull": skull}
    for side, sign in SIDES:
        shoulder = neck + chest @ np.array([sign * body.shoulder, -0.035, 0])
        upper = chest @ _rx(-a[f"arm_{side}"]) @ _rz(sign * a[f"raise_{side}"]) @ _ry(-sign * a[f"turn_{side}"])
        elbow = shoulder + upper @ np.array([0, -body.arm, 0])
        fore = upper @ _rx(-a[f"elbow_{side}"])
        wrist = elbow + fore @ np.array([0, -0.92 * body.arm, 0])
        hip = pelvis @ np.array([sign * body.hip, -0.01, 0])
        thigh = pelvis @ _rx(-a[f"hip_{side}"]) @ _rz(sign * a[f"spread_{side}"])
        knee = hip + thigh @ np.array([0, -body.leg, 0])
        shin = thigh @ _rx(a[f"knee_{side}"])
        ankle = knee + shin @ np.array([0, -body.leg, 0])
        points |= {
            f"{side}_shoulder": shoulder,
            f"{side}_elbow": elbow,
            f"{side}_wrist": wrist,
            f"{side}_hand": wrist + fore @ np.array([0, -0.035, 0]),
            f"{side}_hip": hip,
            f"{side}_knee": knee,
            f"{side}_ankle": ankle,
            f"{side}_heel": ankle + shin @ np.array([0, -0.022, -0.012]),
            f"{side}_toe": ankle + shin @ np.array([0, -0.03, 0.075]),
        }
    lowest = min(p[1] for p in points.values()) - 0.02
    return Joints(points, pelvis, chest, head, lowest)


# Directions in the head's own frame (unit sphere).
_FACE = {
    "nose": np.array([0, -0.1, 1.06]),
    "left_eye": np.array([0.37, 0.16, 0.9]),
    "right_eye": np.array([-0.37, 0.16, 0.9]),
    "left_ear": np.array([0.98, 0.0, -0.08]),
    "right_ear": np.array([-0.98, 0.0, -0.08]),
}


def _cap(direction: tuple[float, float, float], angle: float, n: int = 28) -> np.ndarray:
    """Points (n, 3) on the unit sphere at `angle` degrees from a direction."""
    d = np.asarray(direction, float) / np.linalg.norm(direction)
    u = np.cross(d, (1.0, 0, 0))
    u /= np.linalg.norm(u)
    w = np.cross(d, u)
    t = np.linspace(0, 2 * np.pi, n, endpoint=False)[:, None]
    r = np.deg2rad(angle)
    return np.cos(r) * d + np.sin(r) * (np.cos(t) * u + np.sin(t) * w)


_FACE_CAPS = {
    "short": _cap((0, -0.42, 1), 70),
    "bun": _cap((0, -0.42, 1), 68),
    "long": _cap((0, -0.34, 1), 56),
    "bald": _cap((0, 0, 1), 80),
    "cap": _cap((0, -0.42, 1), 70),
}
_HAT = _cap((0, 1, -0.12), 72)


@dataclass(frozen=True)
class _Head:
    """The head on the screen: centre (2,), radius in pixels, frame and the ellipse it projects to."""

    center: np.ndarray
    radius: float
    frame: np.ndarray
    ellipse: np.ndarray  # (2, 2): unit disc (Y up) to offsets in radii (y down)
    angle: float

    def place(self, direction: np.ndarray) -> np.ndarray:
        """Screen position(s) of direction(s) (..., 3) of the head's frame."""
        return self.center + self.radius * ((direction @ self.frame.T)[..., :2] @ self.ellipse.T)

    def cap(self, points: np.ndarray) -> np.ndarray | None:
        """Screen outline of a spherical cap's visible part, or None when it lies behind."""
        v = points @ self.frame.T
        behind = v[:, 2] < 0
        if behind.all():
            return None
        xy = v[:, :2].copy()
        xy[behind] /= np.maximum(np.linalg.norm(xy[behind], axis=1, keepdims=True), 1e-6)
        return self.center + self.radius * (xy @ self.ellipse.T)


def _head_on_screen(center: np.ndarray, radius: float, frame: np.ndarray) -> _Head:
    up = frame[:2, 1]
    angle = float(np.arctan2(up[0], up[1])) if np.hypot(*up) > 0.2 else 0.0
    c, s = np.cos(angle), np.sin(angle)
    turn = np.array([[c, s], [-s, c]])  # unit disc, Y up, with the head's up along `up`
    stretch = turn @ np.diag([0.9, 1.1]) @ turn.T
    return _Head(center, radius, frame, np.diag([1.0, -1.0]) @ stretch, angle)


def _draw_head(canvas: Canvas, body: Body, head: _Head, line: float) -> None:
    r, center = head.radius, head.center
    dark_skin, edge = shade(body.skin, 0.72), shade(body.hair, 0.55)
    hairy = body.hair_style != "bald"
    outer = 1.07 if hairy else 1.0
    canvas.ellipse(center, 0.9 * r * outer + line, 1.1 * r * outer + line, edge if hairy else dark_skin, head.angle)
    if body.hair_style == "bun":
        bun = head.place(np.array([0, 0.95, -0.75]))
        canvas.ellipse(bun, 0.42 * r + line, 0.42 * r + line, edge)
        canvas.ellipse(bun, 0.42 * r, 0.42 * r, body.hair)
    top = body.hair if hairy else body.skin
    canvas.ellipse(center, 0.9 * r * outer, 1.1 * r * outer, top, head.angle)
    if hairy:
        glint = head.place(np.array([-0.25, 0.75, 0.2]))
        canvas.ellipse(glint, 0.3 * r, 0.14 * r, shade(body.hair, 1.22), head.angle)
    face = head.cap(_FACE_CAPS[body.hair_style])
    if face is not None and hairy:
        canvas.hull(face, body.skin)
    if body.hair_style != "long":
        for name in ("left_ear", "right_ear"):
            if (head.frame @ _FACE[name])[2] > -0.4:
                ear = head.place(_FACE[name])
                canvas.ellipse(ear, 0.2 * r, 0.27 * r, dark_skin, head.angle)
                canvas.ellipse(ear, 0.13 * r, 0.19 * r, body.skin, head.angle)
    if body.hair_style == "cap":
        hat = head.cap(_HAT)
        if hat is not None:
            canvas.hull(hat, body.shirt_second)
        brim = head.place(np.array([[0.45, 0.5, 0.8], [-0.45, 0.5, 0.8], [0.3, 0.42, 1.4], [-0.3, 0.42, 1.4]]))
        if head.frame[2, 2] > -0.25:
            canvas.hull(brim, shade(body.shirt_second, 0.7))
    for name in ("left_eye", "right_eye"):
        if (head.frame @ _FACE[name])[2] > 0.08:
            eye = head.place(_FACE[name])
            canvas.ellipse(eye, 0.2 * r, 0.17 * r, (248, 248, 246), head.angle)
            canvas.ellipse(head.place(_FACE[name] + (0, -0.01, 0.03)), 0.115 * r, 0.14 * r, (28, 22, 24), head.angle)
    if (head.frame @ _FACE["nose"])[2] > 0.0:
        bridge, tip = head.place(np.array([0, 0.12, 0.98])), head.place(np.array([0, -0.14, 1.1]))
        canvas.capsule(bridge, tip, 0.06 * r, 0.14 * r, mix(dark_skin, (190, 90, 70), 0.25))
    if (head.frame @ np.array([0, -0.55, 0.8]))[2] > 0.15:
        mouth = head.place(np.array([[0.26, -0.53, 0.82], [-0.26, -0.53, 0.82], [0, -0.62, 0.82]]))
        canvas.hull(mouth, (150, 62, 62))


def _section(center: np.ndarray, frame: np.ndarray, width: float, depth: float) -> np.ndarray:
    """Points (12, 3) of an elliptic cross-section of the trunk."""
    t = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    return center + np.stack([width * np.cos(t), np.zeros(12), depth * np.sin(t)], axis=1) @ frame.T


def draw_person(canvas: Canvas, figure: Figure, owner: int) -> dict[str, tuple[float, float, bool]]:
    """Draw a person and stamp it as `owner`.

    Returns, for each keypoint, its continuous screen x and y, and whether the side of the body that bears it is turned
    to the viewer (a nose seen from behind isn't). What other limbs cover is left to `keypoint_parts` and the canvas.
    """
    body, size = figure.body, figure.size
    joints = solve(body, figure.pose, figure.yaw, figure.tilt)
    lift = figure.pose[_FIELD["lift"]]
    origin = np.array([figure.x, figure.ground + (joints.lowest - lift) * size])

    def screen(p: np.ndarray) -> np.ndarray:
        return origin + np.asarray(p)[..., :2] * (size, -size)

    points = joints.points
    at = {name: screen(p) for name, p in points.items()}
    line = float(np.clip(body.line * size / 100, 0.28, 0.8))
    g = size * body.girth
    steps: list[tuple[float, int, Callable[[], None]]] = []  # depth, part, painter
    ends: dict[str, tuple[np.ndarray, float, tuple[Color, Color]]] = {}  # joint -> what was drawn there last

    def limb(a: str, b: str, r0: float, r1: float, color: Color, part: int, cover: tuple[float, Color] | None) -> None:
        """A limb; `cover` = (fraction from a, colour) is the sleeve or trouser leg over it."""
        depth = 0.5 * (points[a][2] + points[b][2])
        light = float(np.clip(1 + 1.1 * depth, 0.76, 1.06))
        near, far = (cover[1] if cover and cover[0] >= t else color for t in (0.1, 0.9))

        def paint() -> None:
            p, q, w0, w1 = at[a], at[b], r0 * g, r1 * g
            outer = cover[1] if cover and cover[0] >= 0.5 else color
            canvas.capsule(p, q, w0 + line, w1 + line, shade(outer, 0.5 * light))
            canvas.capsule(p, q, w0, w1, shade(color, light))
            if cover and cover[0] > 0:
                end = p + cover[0] * (q - p)
                we = w0 + cover[0] * (w1 - w0)
                canvas.capsule(p, end, w0 * 1.06, we * 1.12, shade(cover[1], light))
                p2, q2, w2, base = p, end, we, cover[1]
            else:
                p2, q2, w2, base = p, q, w1, color
            across = np.array([q2[1] - p2[1], p2[0] - q2[0]])
            norm = np.hypot(*across)
            if norm > 2 and size > 40:
                across = across / norm * (1 if across[0] < 0 or (across[0] == 0 and across[1] < 0) else -1)
                canvas.capsule(p2 + 0.35 * w0 * across, q2 + 0.35 * w2 * across, 0.38 * w0, 0.38 * w2,
                               shade(base, min(light * 1.12, 1.25)))  # fmt: skip
            for joint, other, radius, tone in ((a, q, w0, near), (b, p, w1, far)):
                if joint in ends:  # hide the outline that this limb has drawn across its neighbour
                    away, width, there = ends[joint]
                    if there[0] == tone:
                        step = away - at[joint]
                        step *= min(radius / max(np.hypot(*step), 1e-6), 1.0)
                        canvas.capsule(at[joint], at[joint] + 0.8 * step, width, width, there[1])
                ends[joint] = (other, radius, (tone, shade(tone, light)))

        steps.append((depth, part, paint))

    long_leg = body.bottom_style == "trousers"
    for side, _sign in SIDES:
        thigh, shin = LEG[side]
        upper, fore = ARM[side]
        thigh_cover = (1.0 if long_leg else 0.6 if body.bottom_style == "shorts" else 0.2, body.bottom)
        limb(f"{side}_hip", f"{side}_knee", 0.052, 0.036, body.skin, thigh, thigh_cover)
        limb(f"{side}_knee", f"{side}_ankle", 0.036, 0.024, body.skin, shin, (0.94, body.bottom) if long_leg else None)
        limb(f"{side}_heel", f"{side}_toe", 0.028, 0.021, body.shoes, shin, None)
        limb(f"{side}_shoulder", f"{side}_elbow", 0.036, 0.027, body.skin, upper,
             (min(2 * body.sleeves, 1.0) * (0.62 if body.sleeves == 0.5 else 1.0), body.shirt))  # fmt: skip
        limb(f"{side}_elbow", f"{side}_wrist", 0.027, 0.019, body.skin, fore,
             (0.95, body.shirt) if body.sleeves == 1.0 else None)  # fmt: skip
        limb(f"{side}_wrist", f"{side}_hand", 0.020, 0.024, body.skin, fore, None)

    k = body.girth
    waist_at = 0.3 * body.torso
    profile = (  # height above the pelvis, half width, half depth
        (-0.035, body.hip + 0.038 * k, 0.06 * k),
        (waist_at * 0.6, body.hip + 0.03 * k, 0.058 * k),
        (waist_at + 0.05, body.hip + 0.03 * k, 0.055 * k),
        (body.torso * 0.68, body.shoulder * 0.82 + 0.018 * k, 0.066 * k),
        (body.torso - 0.035, body.shoulder + 0.016 * k, 0.058 * k),
        (body.torso + 0.005, body.shoulder * 0.55, 0.036 * k),
    )

    def section(height: float, width: float, depth: float) -> np.ndarray:
        if height <= waist_at:
            return _section(joints.pelvis @ np.array([0, height, 0]), joints.pelvis, width, depth)
        lower = points["waist"] + joints.chest @ np.array([0, height - waist_at, 0])
        return _section(lower, joints.chest, width, depth)

    sections = [section(*row) for row in profile]
    trunk = [screen(s) for s in sections]
    grow = 1 + 2 * line / max(0.2 * size, 1)

    def swollen(pts: np.ndarray) -> np.ndarray:
        mean = pts.mean(axis=0)
        return mean + (pts - mean) * grow

    chest_depth = float(points["neck"][2] * 0.5 + points["waist"][2] * 0.5)
    front = float(joints.chest[2, 2])

    def paint_pelvis() -> None:
        edge = shade(body.bottom, 0.5)
        canvas.hull(swollen(np.concatenate(trunk[:2])), edge)
        canvas.hull(np.concatenate(trunk[:2]), body.bottom)

    def paint_skirt() -> None:
        hem = []
        for side, sign in SIDES:
            for dz in (-0.05, 0.05):
                p = points[f"{side}_hip"] + 0.72 * (points[f"{side}_knee"] - points[f"{side}_hip"])
                hem.append(screen(p + joints.pelvis @ np.array([sign * 0.05, 0, dz])))
        shape = np.concatenate([trunk[0], np.array(hem)])
        canvas.hull(swollen(shape), shade(body.bottom, 0.5))
        canvas.hull(shape, body.bottom)

    def paint_torso() -> None:
        edge = shade(body.shirt, 0.5)
        for a, b in ((1, 3), (3, 5)):
            canvas.hull(swollen(np.concatenate(trunk[a : b + 1])), edge)
        bands = 7 if body.shirt_pattern == "stripes" else 4
        heights = np.linspace(profile[1][0], profile[5][0], bands + 1)
        rows = np.array(profile)
        fine = [screen(section(h, np.interp(h, rows[:, 0], rows[:, 1]), np.interp(h, rows[:, 0], rows[:, 2])))
                for h in heights]  # fmt: skip
        for i in range(bands):
            second = (body.shirt_pattern == "stripes" and i % 2 == 1) or (body.shirt_pattern == "band" and i == 2)
            color = body.shirt_second if second else body.shirt
            canvas.hull(np.concatenate(fine[i : i + 2]), color)
        if body.shirt_pattern == "halves":
            cut = [screen(np.stack([s[3], s[9], s[6], s[5], s[7]])) for s in sections[1:6]]
            canvas.hull(np.concatenate(cut[:3]), body.shirt_second)
            canvas.hull(np.concatenate(cut[2:]), body.shirt_second)

        def on_surface(height: float, across: float, sign: float) -> np.ndarray:
            depth = np.interp(height, rows[:, 0], rows[:, 2])
            base = points["waist"] + joints.chest @ np.array([across, height - waist_at, sign * depth])
            return screen(base)

        top, low = body.torso - 0.005, waist_at + 0.01
        if front > 0.15:
            if body.closure == "zip":
                canvas.capsule(on_surface(low, 0, 1), on_surface(top, 0, 1), 0.006 * size, 0.006 * size,
                               body.shirt_second)  # fmt: skip
            if body.closure != "plain":
                neckline = (on_surface(top, 0.045, 1), on_surface(top, -0.045, 1), on_surface(top - 0.07, 0, 1))
                canvas.hull(np.array(neckline), shade(body.skin, 0.9))
            badge = on_surface(body.torso - 0.09, 0.05, 1)
            canvas.ellipse(badge, 0.017 * size, 0.017 * size, shade(body.shirt_second, 0.9))
        elif front < -0.15 and body.number:
            mid = body.torso * 0.62
            for dx in (-0.03, 0.03):
                canvas.capsule(on_surface(mid - 0.04, dx, -1), on_surface(mid + 0.05, dx, -1), 0.014 * size,
                               0.014 * size, body.shirt_second)  # fmt: skip

    steps.append((chest_depth, TORSO, paint_torso))
    pelvis_depth = float(points["pelvis"][2])
    steps.append((min(pelvis_depth, chest_depth - 1e-4), PELVIS, paint_pelvis))
    if body.bottom_style == "skirt":
        hem_depth = 0.5 * max(points["left_knee"][2], points["right_knee"][2])
        steps.append((max(pelvis_depth, hem_depth) + 0.012, PELVIS, paint_skirt))

    head = _head_on_screen(at["skull"], body.head * size, joints.head)
    head_depth = float(points["skull"][2])

    def paint_neck() -> None:
        canvas.capsule(at["neck"], at["skull"], 0.034 * g, 0.03 * g, shade(body.skin, 0.82))

    steps.append((max(chest_depth, 0.5 * (head_depth + points["neck"][2])) + 0.001, HEAD, paint_neck))
    steps.append((max(head_depth, chest_depth) + 0.02, HEAD, lambda: _draw_head(canvas, body, head, line)))
    if body.hair_style == "long":
        start, end = head.place(np.array([0, 0.1, -0.45])), head.place(np.array([0, -1.35, -0.6]))
        behind = head_depth + 0.6 * body.head * -float(joints.head[2, 2]) * 2

        def paint_hair() -> None:
            canvas.capsule(start, end, 0.92 * head.radius + line, 0.7 * head.radius + line, shade(body.hair, 0.55))
            canvas.capsule(start, end, 0.92 * head.radius, 0.7 * head.radius, body.hair)

        steps.append((behind, HEAD, paint_hair))

    canvas.owner = owner
    for _depth, part, paint in sorted(steps, key=lambda step: step[0]):
        canvas.part = part
        paint()
    canvas.owner, canvas.part = None, 0

    result: dict[str, tuple[float, float, bool]] = {}
    for name, direction in _FACE.items():
        z = float((joints.head @ direction)[2])
        shown = z > -0.4 and body.hair_style != "long" if "ear" in name else z > (0.08 if "eye" in name else 0.0)
        x, y = head.place(direction)
        result[name] = (float(x), float(y), shown)
    for name in KEYPOINTS[5:]:
        x, y = at[name]
        shown = True
        if name.endswith(("shoulder", "hip")):
            reach = body.shoulder if name.endswith("shoulder") else body.hip
            middle = points["neck"] if name.endswith("shoulder") else points["pelvis"]
            shown = float(points[name][2] - middle[2]) > -0.68 * reach
        result[name] = (float(x), float(y), shown)
    return result


def keypoint_parts(name: str) -> tuple[int, ...]:
    """The body parts that may be on top at a keypoint that counts as visible."""
    side, _, joint = name.partition("_")
    if joint in ("", "eye", "ear"):
        return (HEAD,)
    if joint == "shoulder":
        return (TORSO, ARM[side][0])
    if joint == "hip":
        return (TORSO, PELVIS, LEG["left"][0], LEG["right"][0])
    if joint == "elbow":
        return ARM[side]
    if joint == "wrist":
        return ARM[side][1:]
    if joint == "knee":
        return (*LEG[side], PELVIS)
    return LEG[side][1:]


def blend_poses(a: Figure, b: np.ndarray, t: float, dx: float) -> Figure:
    """The figure moved by `dx` pixels, its pose moved a fraction t of the way from its own to `b`."""
    return replace(a, pose=(1 - t) * a.pose + t * b, x=a.x + dx)
