"""What a row of a table has over its baselines, seed by seed, in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from datadistill.report.tables import MINUS, Row, Table, mean_and_spread


@dataclass(frozen=True)
class Gain:
    """What a row has over its baseline in one metric, in points; several seeds are compared seed by seed.

    `spread` is the sample standard deviation of the differences and `interval` half the width of the 95 % t-interval of
    their mean (both None for one seed); `wins` counts the seeds with a positive difference.
    """

    metric: str
    mean: float
    spread: float | None
    interval: float | None
    wins: int
    seeds: int


def gains(row: Row, baseline: Row, metrics: Sequence[str]) -> list[Gain]:
    """What `row` has over `baseline`, by metric.

    Seeds that only one of them has are left out, and so are undefined metrics.
    """
    common = sorted(row.seeds.keys() & baseline.seeds.keys())
    result = []
    for metric in metrics:
        pairs = [(row.seeds[seed][metric], baseline.seeds[seed][metric]) for seed in common]
        differences = [ours - theirs for ours, theirs in pairs if ours is not None and theirs is not None]
        mean, spread = mean_and_spread(differences)
        if mean is None or len(differences) < len(common):
            continue
        wins = sum(difference > 0 for difference in differences)
        result.append(Gain(metric, mean, spread, _half_interval(spread, len(differences)), wins, len(differences)))
    return result


def _half_interval(spread: float | None, count: int) -> float | None:
    if spread is None:
        return None
    from scipy.stats import t

    return float(t.ppf(0.975, count - 1)) * spread / math.sqrt(count)


def gain_lines(table: Table) -> list[str]:
    """One line for each row and baseline: the gain by metric with its sign, and plainly when there is none."""
    rows = {row.key: row for row in table.rows}
    return [_gain_line(row, rows[key], table.metrics) for row in table.rows for key in row.baselines]


def _gain_line(row: Row, baseline: Row, metrics: Sequence[str]) -> str:
    title = f"{row.label} against {baseline.label}"
    found = gains(row, baseline, metrics)
    if not found:
        return f"{title}: not run."
    first = found[0]
    if first.interval is None:
        parts = [f"{gain.metric} {signed(gain.mean)}" for gain in found]
        basis = "one seed, spread unknown"
    else:
        parts = [f"{gain.metric} {signed(gain.mean)} ± {gain.spread:.1f}" for gain in found]
        low, high = signed(first.mean - first.interval), signed(first.mean + first.interval)
        basis = (
            f"{first.seeds} seeds compared one by one, {first.metric} higher in {first.wins} of them, "
            f"95 % interval of its mean {low} to {high}"
        )
    if row.paper and baseline.paper and first.metric in row.paper and first.metric in baseline.paper:
        basis += f"; paper: {first.metric} {signed(row.paper[first.metric] - baseline.paper[first.metric])}"
    return f"{title}: {', '.join(parts)} ({basis}). {_verdict(first)}".rstrip()


def _verdict(gain: Gain) -> str:
    if gain.mean <= 0:
        return f"No gain in {gain.metric} here."
    if gain.interval is None:
        return ""  # one seed claims nothing
    if gain.interval >= gain.mean:
        return f"A gain in {gain.metric} on average, not beyond the spread of the seeds."
    return f"A gain in {gain.metric}."


def signed(value: float) -> str:
    """One decimal with its sign (a minus sign, not a hyphen); no sign for a zero."""
    text = f"{abs(value):.1f}"
    return text if float(text) == 0 else ("+" if value > 0 else MINUS) + text
