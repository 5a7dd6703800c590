from __future__ import annotations

import pytest


@pytest.fixture
def saved_figures(monkeypatch):
    """The figures that the code under test saves, in order, as matplotlib objects."""
    from datadistill.report import charts as figures
    from datadistill.report import pictures

    seen = []
    original = figures.save_figure

    def save(figure, stem, note=""):
        seen.append(figure)
        return original(figure, stem, note)

    for module in (figures, pictures):
        monkeypatch.setattr(module, "save_figure", save)
    return seen
