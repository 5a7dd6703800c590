"""Light, blur and noise of the two domains."""

from __future__ import annotations

import numpy as np

Rng = np.random.Generator


def finish(image: np.ndarray, rng: Rng, domain: str, grain: Rng | None = None) -> np.ndarray:
    """Light, blur and noise of a domain, on a uint8 RGB image (h, w, 3) of final resolution.

    Frames of one clip share the state of `rng`, which chooses the look; `grain` gives each its own noise.
    """
    import cv2

    h, w = image.shape[:2]
    away = domain == "away"
    grid = rng.uniform(0.72, 1.12, (3, 3)) if away else rng.uniform(0.86, 1.1, (3, 3))
    light = cv2.resize(grid.astype(np.float32), (w, h), interpolation=cv2.INTER_CUBIC)[:, :, None]
    if away:
        style = rng.choice(("harsh", "dim", "warm", "cold", "plain"), p=(0.24, 0.2, 0.2, 0.18, 0.18))
        gain, gamma, tint = {
            "harsh": (1.25, 1.35, (1.05, 1.02, 0.95)),
            "dim": (0.66, 1.0, (0.95, 0.97, 1.1)),
            "warm": (0.95, 1.05, (1.15, 0.95, 0.72)),
            "cold": (0.9, 1.05, (0.78, 0.96, 1.18)),
            "plain": (1.0, 1.0, (1.0, 1.0, 1.0)),
        }[str(style)]
    else:
        gain, gamma = rng.uniform(0.92, 1.06), 1.0
        tint = (1.02, 1.0, rng.uniform(0.9, 1.0))
    x = np.arange(256) / 255.0
    table = np.clip(255 * gain * np.asarray(tint)[None] * (x**gamma)[:, None], 0, 255).astype(np.uint8)
    out = cv2.LUT(image, table[None])
    if away:
        kind = rng.uniform()
        if kind < 0.3:
            out = cv2.GaussianBlur(out, (0, 0), rng.uniform(0.5, 1.3))
        elif kind < 0.6:
            out = cv2.filter2D(out, -1, _motion(rng.uniform(2.5, 6.5), rng.uniform(0, np.pi)))
    sigma = rng.uniform(2, 6) if away else rng.uniform(0.5, 2.5)
    noise = (grain or rng).standard_normal((h, w, 1), dtype=np.float32) * sigma
    out = np.clip(out * light + noise, 0, 255).astype(np.uint8)
    if away and rng.uniform() < 0.45:
        code = cv2.imencode(".jpg", out, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(22, 50))])[1]
        out = cv2.imdecode(code, cv2.IMREAD_COLOR)
    return out


def _motion(length: float, angle: float) -> np.ndarray:
    """A normalised motion-blur kernel (k, k) float32."""
    import cv2

    k = int(np.ceil(length)) | 1
    kernel = np.zeros((k, k), np.uint8)
    c, d = (k - 1) / 2, np.array([np.cos(angle), np.sin(angle)]) * length / 2
    p, q = (np.array([c, c]) - d) * 16, (np.array([c, c]) + d) * 16
    cv2.line(kernel, tuple(int(v) for v in p), tuple(int(v) for v in q), 255, 1, cv2.LINE_AA, 4)
    kernel = kernel.astype(np.float32)
    return kernel / max(kernel.sum(), 1.0)
