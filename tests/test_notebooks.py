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
        space["errors"]["asked"] > 4 * space["errors"]["fresh"]
        and space["errors"]["fresh"] > 2 * space["errors"]["gain"]
        and space["errors"]["gain"] < 1.3
    ),
    # Metres in float32 over 150 events.
    "02_from_training_to_c": lambda space: space["apart"] < 1e-3,
}


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[] if n.startswith("00") else [pytest.mark.slow]) for n in ENDS],
)
def test_a_notebook_runs_and_is_stored_without_outputs(name, capsys):
    path = FOLDER / f"{name}.ipynb"
    cells = json.loads(path.read_text())["cells"]
    code = [c for c in cells if c["cell_type"] == "code"]
    assert not any(c["outputs"] for c in code)
    mpl.use("Agg")
    space: dict = {}
    for cell in code:
        exec("".join(cell["source"]), space)
    assert ENDS[name](space)


def test_notebooks_are_there():
    assert {path.stem for path in FOLDER.glob("*.ipynb")} == set(ENDS)
