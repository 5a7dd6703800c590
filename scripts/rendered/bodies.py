"""What people look like, and where a pose puts their joints.

Body frame: x towards the person's left, y up, z forward; lengths in units of the person's standing height. Camera frame:
X right on the screen, Y up, Z towards the viewer, so that a person of yaw 0 faces the camera and has the left hand on
the right of the picture. The projection is orthographic. Angles are degrees.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from rendered.canvas import Color, hsv, mix, random_color, shade
from rendered.poses import POSE_FIELDS

SIDES = (("left", 1.0), ("right", -1.0))


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


def blend_poses(a: Figure, b: np.ndarray, t: float, dx: float) -> Figure:
    """The figure moved by `dx` pixels, its pose moved a fraction t of the way from its own to `b`."""
    return replace(a, pose=(1 - t) * a.pose + t * b, x=a.x + dx)
