from __future__ import annotations

import pytest


@pytest.fixture
def saved_figures(monkeypatch):
    """The figures that the code under test saves, in order, as matplotlib objects."""
    from datadistill.report import (
        ensemble_picture,
        figure_style,
        label_charts,
        picture_rows,
        result_charts,
        training_charts,
    )

    seen = []
    original = figure_style.save_figure

    def save(figure, stem, note=""):
        seen.append(figure)
        return original(figure, stem, note)

    for module in (ensemble_picture, label_charts, picture_rows, result_charts, training_charts):
        monkeypatch.setattr(module, "save_figure", save)
    return seen
