import json

import matplotlib as mpl
import pytest
from helpers import ROOT

FOLDER = ROOT / "notebooks"


# What each story ends with must hold.
ENDS = {
    "00_filters_and_truth": lambda space: 0.7 < space["nees"][:, 50:].mean() < 1.4,
    # Each big cure shows even in so short a training.
    "01_why_my_lstm_does_not_learn": lambda space: (
        space["errors"]["asked"] > 5 * space["errors"]["fresh"]
        and space["errors"]["fresh"] > 2 * space["errors"]["gain"]
        and space["errors"]["gain"] < 1.3
    ),
    # Metres in float32 over 150 events.
    "02_from_training_to_c": lambda space: space["apart"] < 1e-3,
}


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.ipynb")), ids=lambda p: p.stem)
def test_a_notebook_runs_and_is_stored_without_outputs(path, capsys):
    cells = json.loads(path.read_text())["cells"]
    code = [c for c in cells if c["cell_type"] == "code"]
    assert not any(c["outputs"] for c in code)
    mpl.use("Agg")
    space: dict = {}
    for cell in code:
        exec("".join(cell["source"]), space)
    assert ENDS[path.stem](space)


def test_notebooks_are_there():
    assert {path.stem for path in FOLDER.glob("*.ipynb")} == set(ENDS)
