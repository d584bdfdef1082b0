"""What was exported computes the same on an emulated Cortex-M4, compiled by another compiler."""

import importlib
import re

import jax
import numpy as np
import pytest
from helpers import ROOT, one

from kalmanrnn.core.config import StudentConfig
from kalmanrnn.deploy.c.selftest import record_selftest
from kalmanrnn.deploy.machine.machine import trace_estimator
from kalmanrnn.models.student import blank_normaliser, estimator, make_student

BENCHMARKS = ROOT / "benchmarks"


@pytest.fixture(scope="module")
def board():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        found = importlib.import_module("cortex_m.board")
    if found.lacking():
        pytest.skip(found.lacking())
    return found


@pytest.fixture(scope="module")
def exported(scenario, drives):
    """A small student of `linear` that answers, and its record."""
    sim = scenario("linear")
    config = StudentConfig(student="gain", hidden=8, layers=1, head=8)
    student, params = make_student(sim, config, seed=0)
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda a: a + 0.1 * rng.standard_normal(a.shape, np.float32), params)
    norm = blank_normaliser(student)
    machine = trace_estimator(student, sim, params=params, norm=norm)
    drive = one(jax.tree.map(np.asarray, drives("linear", count=2, seconds=6.0)))
    return machine, record_selftest(estimator(student, params, norm), drive)


@pytest.mark.slow
def test_the_selftest_passes_on_the_board(board, exported, tmp_path):
    """Multiply-adds are at least an instruction each; ten for each would be another program."""
    machine, recorded = exported
    found = board.measure(machine, recorded, tmp_path)
    assert found.selftest == 0
    weights = machine.spec["weights"]["count"]
    assert weights < found.instructions < 20 * weights
    assert found.most < 1.5 * found.instructions
    assert 3.9 * weights < found.flash < 4 * weights + 16_000
    assert 0 < found.stack < found.ram < 4_000


@pytest.mark.slow
def test_a_changed_weight_fails_on_the_board(board, exported, tmp_path):
    machine, recorded = exported
    board.measure(machine, recorded, tmp_path)
    weights = next(tmp_path.glob("*_weights.c"))
    text = weights.read_text()
    bias = re.search(r"head_map_bias\w*\[\d+\] = \{\s*", text)
    assert bias is not None
    weights.write_text(text[: bias.end()] + "0.1f + " + text[bias.end() :])
    name = machine.name
    sources = [f"{name}.c", f"{name}_weights.c", f"{name}_selftest.c", board.HERE / "main.c"]
    with pytest.raises(board.BoardError, match="selftest 6"):
        board.run(board.compiled(tmp_path, "changed", sources))
