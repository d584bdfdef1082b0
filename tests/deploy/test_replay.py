"""The examples replay a drive, and agree."""

import csv
import subprocess
import sys

import jax
import numpy as np
import pytest
from helpers import ROOT, one

from kalmanrnn.deploy.machine.archive import write_archive
from kalmanrnn.deploy.machine.machine import trace_estimator
from kalmanrnn.deploy.onnx.model import write_onnx
from kalmanrnn.scenarios.simulation import simulate_batch

EXAMPLES = ROOT / "examples"
pytest.importorskip("onnx", reason="the extra `export` is not installed")
pytest.importorskip("onnxruntime", reason="the extra `export` is not installed")


def replayed(script, *args):
    command = [sys.executable, str(EXAMPLES / script), *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    header, *rows = csv.reader(done.stdout.splitlines())
    return header, np.array(rows, float)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["rover", "linear"])
def test_the_replays_agree(scenario, tmp_path, name):
    """1e-4 of the scale: two runtimes' roundings over a drive, which the filter forgets."""
    machine = trace_estimator("ekf", scenario(name))
    paths = write_onnx(machine, tmp_path / "exported")
    write_archive(machine, tmp_path / "exported")
    drive = tmp_path / "drive"
    command = [sys.executable, str(EXAMPLES / "python/drive_csv.py"), name, str(drive)]
    subprocess.run([*command, "--seconds", "12"], check=True)
    header, plain = replayed("python/replay.py", tmp_path / "exported", drive)
    _, fast = replayed("onnxruntime/replay.py", paths[0], drive)
    assert header[:2] == ["t", "mean_0"]
    assert plain.shape == fast.shape == (plain.shape[0], 1 + scenario(name).space.state_dim)
    np.testing.assert_allclose(fast, plain, atol=1e-4 * np.abs(plain).max())
    truth = one(simulate_batch(scenario(name), jax.random.key(0), 1, 12.0)).truth
    place = slice(1, 3)
    far = np.linalg.norm(fast[:, place] - truth[:, :2], axis=1)
    # Neither stands still nor runs away: better than saying the start all along.
    assert np.median(far) < np.median(np.linalg.norm(truth[:, :2] - truth[0, :2], axis=1))


def test_a_drive_far_from_the_origin_is_brought_near(scenario, tmp_path, monkeypatch):
    """Replayed 400 km away: the same estimates, moved, to the last centimetre."""
    monkeypatch.syspath_prepend(EXAMPLES / "onnxruntime")
    monkeypatch.delitem(sys.modules, "replay", raising=False)
    replay = __import__("replay")
    sim = scenario("rover")
    machine = trace_estimator("ekf", sim)
    (model, _) = write_onnx(machine, tmp_path)
    drive = one(simulate_batch(sim, jax.random.key(0), 1, 6.0))
    start = np.asarray(drive.belief.mean, float)
    away = np.array([4e5, -3e5, 0.0])
    p = drive.packets
    near = [("0", np.asarray(z, float), s, u, d) for z, s, u, d in zip(*p, strict=True)]
    shift = np.zeros(sim.sigma.size)
    shift[sim.origin_columns >= 0] = away[sim.origin_columns[sim.origin_columns >= 0]]
    far = [(t, z + shift * sim.mask(s), s, u, d) for t, z, s, u, d in near]
    here, there = (
        np.array([mean for _, mean in replay.estimates(model, x, events)])
        for x, events in ((start, near), (start + away, far))
    )
    # The origin is rounded to metres, so that both runs are near their own.
    np.testing.assert_allclose(there - away, here, atol=1e-2)
