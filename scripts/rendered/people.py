"""Articulated people: a posed 3-D skeleton (`bodies`), drawn back to front as shaded limbs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rendered.bodies import SIDES, Body, Figure, solve
from rendered.canvas import Canvas, Color, mix, shade
from rendered.poses import POSE_FIELDS

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
    lift = figure.pose[POSE_FIELDS.index("lift")]
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
