"""What jax reads back from a StableHLO export is the step it was made from."""

import json
import sys
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256

import jax
import numpy as np
import pytest
from helpers import one

from kalmanrnn.core.errors import MISSING, UserError
from kalmanrnn.deploy.machine.machine import trace_estimator
from kalmanrnn.deploy.stablehlo import PLATFORMS, compatibility, read_stablehlo, write_stablehlo
from kalmanrnn.filters.kinds import FILTERS

pytest.importorskip("flatbuffers", reason="the extra `export` is not installed")


@pytest.mark.parametrize(("name", "kind"), [("linear", "ekf"), ("rover", "ukf")])
def test_what_is_read_back_is_the_step(scenario, drives, tmp_path, name, kind):
    """1e-6 of each output's scale: the same operations, compiled in another grouping."""
    sim = scenario(name)
    estimator = FILTERS[kind](sim)
    machine = trace_estimator(kind, sim)
    model, beside = write_stablehlo(machine, estimator, sim, tmp_path)
    facts = json.loads(beside.read_text())
    assert facts["sha256"] == sha256(model.read_bytes()).hexdigest()
    assert facts["platforms"] == list(PLATFORMS)
    step = read_stablehlo(model)
    jitted = jax.jit(estimator.step)
    drive = one(drives(name, count=8, seconds=12.0))
    drive = jax.tree.map(lambda a: a.astype(np.float32) if a.dtype.kind == "f" else a, drive)
    carry = estimator.init(drive.belief)
    for i in range(5):
        packet = jax.tree.map(lambda a, i=i: a[i], drive.packets)
        given = [np.asarray(a) for a in (*carry, *packet) if np.size(a)]
        assert [list(a.shape) for a in given] == [p["shape"] for p in facts["inputs"]]
        assert [a.dtype.name for a in given] == [p["dtype"] for p in facts["inputs"]]
        found = dict(zip([p["name"] for p in facts["outputs"]], step(*given), strict=True))
        carry, estimate = jitted(carry, packet)
        wanted = {"state_mean": carry.mean, "state_cov": carry.cov, "mean": estimate.mean}
        wanted["cov"] = estimate.cov
        assert list(found) == [port.name for port in machine.step.outputs]
        for key, value in wanted.items():
            np.testing.assert_allclose(found[key], value, atol=1e-6 * np.abs(value).max())


def test_it_says_how_long_it_can_be_read():
    facts = compatibility(datetime(2026, 11, 23, tzinfo=UTC))
    assert date.fromisoformat(facts["readable_until"]) == date(2026, 11, 23) + timedelta(days=180)
    assert "2026-11-02" in facts["readable_by"]
    assert facts["jax"] == jax.__version__
    assert "not an archive" in facts["note"]


def test_missing_packages_are_named(scenario, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "flatbuffers", None)
    with pytest.raises(UserError, match="cannot read StableHLO") as caught:
        read_stablehlo(tmp_path / "none")
    assert caught.value.code == MISSING
