import json
from pathlib import Path

import matplotlib as mpl
import pytest

FOLDER = Path(__file__).resolve().parent.parent / "notebooks"


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.ipynb")), ids=lambda p: p.stem)
def test_a_notebook_runs_and_is_stored_without_outputs(path, capsys):
    cells = json.loads(path.read_text())["cells"]
    code = [c for c in cells if c["cell_type"] == "code"]
    assert not any(c["outputs"] for c in code)
    mpl.use("Agg")
    space: dict = {}
    for cell in code:
        exec("".join(cell["source"]), space)
    assert 0.7 < space["nees"][:, 50:].mean() < 1.4


def test_notebooks_are_there():
    assert list(FOLDER.glob("*.ipynb"))
