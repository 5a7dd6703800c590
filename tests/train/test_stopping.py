"""Several processes stop together, and don't ask each other in every iteration."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from datadistill.train import hooks as training
from datadistill.train.hooks import ASK_EVERY, SaveCheckpoint, Stopped


class _Asked:
    """`_anybody` of a process whose neighbour is told to stop in an iteration; counts how often it is asked."""

    def __init__(self, hook: SaveCheckpoint, told: int) -> None:
        self.hook, self.told, self.times = hook, told, 0

    def __call__(self, stop: bool) -> bool:
        self.times += 1
        return stop or self.hook.trainer.iter >= self.told


def run(hook: SaveCheckpoint) -> None:
    for hook.trainer.iter in range(1000):
        hook.after_step()


@pytest.mark.parametrize("told", [3, ASK_EVERY - 1, ASK_EVERY + 5])
def test_processes_agree_every_few_iterations(monkeypatch: pytest.MonkeyPatch, told: int) -> None:
    saved: list[int] = []
    hook = SaveCheckpoint(1000, lambda: saved.append(hook.trainer.iter + 1))
    asked = _Asked(hook, told)
    monkeypatch.setattr(training, "_distributed", lambda: True)
    monkeypatch.setattr(SaveCheckpoint, "_anybody", staticmethod(lambda stop: asked(stop)))
    hook.trainer = SimpleNamespace(iter=0, max_iter=1000)
    stopped = -(-(told + 1) // ASK_EVERY) * ASK_EVERY
    with pytest.raises(Stopped, match=f"after iteration {stopped};"):
        run(hook)
    assert saved == [stopped]
    assert asked.times == stopped // ASK_EVERY


def test_a_signal_to_this_process_waits_for_the_next_question(monkeypatch: pytest.MonkeyPatch) -> None:
    hook = SaveCheckpoint(1000, lambda: None)
    monkeypatch.setattr(training, "_distributed", lambda: True)
    monkeypatch.setattr(SaveCheckpoint, "_anybody", staticmethod(lambda stop: stop))
    hook.trainer = SimpleNamespace(iter=0, max_iter=1000)
    hook._ask_to_stop(15, None)
    hook.after_step()
    hook.trainer.iter = ASK_EVERY - 1
    with pytest.raises(Stopped):
        hook.after_step()


def test_one_process_stops_at_once() -> None:
    saved: list[int] = []
    hook = SaveCheckpoint(1000, lambda: saved.append(1))
    hook.trainer = SimpleNamespace(iter=2, max_iter=1000)
    hook._ask_to_stop(15, None)
    with pytest.raises(Stopped, match="after iteration 3;"):
        hook.after_step()
    assert saved == [1]
