"""Logs in whole jobs: judged without a truth, learnt from without mixing what is held out."""

import csv
import json

import numpy as np
import pytest
from helpers import build_recording, one

from kalmanrnn.cli.entry_point import main
from kalmanrnn.core.config import LogsConfig
from kalmanrnn.core.errors import USAGE, UserError
from kalmanrnn.data.log_dataset import check_distinct
from kalmanrnn.data.log_segments import (
    Segment,
    concatenate,
    consecutive_segments,
    filter_log,
    sample_segments,
    split_logs,
)
from kalmanrnn.evaluation.estimates import Estimates, run_filter
from kalmanrnn.evaluation.heading_check import heading_errors, heading_note
from kalmanrnn.evaluation.innovations import collect_innovations, innovation_stats
from kalmanrnn.evaluation.outages import outage_errors
from kalmanrnn.logs.binding.bound_log import bind_log
from kalmanrnn.logs.binding.position_fixes import find_fixes
from kalmanrnn.logs.recording.recording import save_recording

SMALL = [
    *("--sim", "linear", "--hidden", "8", "--layers", "1", "--head", "8"),
    *("--drives", "16", "--seconds", "8", "--validation", "4", "--test", "4", "--skip-s", "2"),
    *("--distil-steps", "6", "--rollout-steps", "4", "--distil-batch", "8", "--rollout-batch", "8"),
    *("--test-share", "0.5", "--test-gap-s", "2"),
]


@pytest.fixture(scope="module")
def long_drive(drives):
    return one(drives("linear", count=2, seconds=60.0, seed=5))


@pytest.fixture(scope="module")
def log_file(scenario, long_drive, tmp_path_factory):
    """A minute of a robot as a drive file, nobody knowing the truth."""
    path = tmp_path_factory.mktemp("log") / "minute.npz"
    save_recording(path, build_recording(scenario("linear"), long_drive)._replace(reference=None))
    return path


@pytest.fixture(scope="module")
def run(log_file, tmp_path_factory):
    """A run that learnt from the log, half of each set simulated."""
    out = tmp_path_factory.mktemp("run") / "run"
    code = main(["train", *SMALL, "--log", str(log_file), "--out", str(out), "--quiet"])
    assert code == 0
    return out


def test_what_is_held_out_is_never_learnt_from(scenario, long_drive):
    sim = scenario("linear")
    drive = one(bind_log(sim, build_recording(sim, long_drive)).drive)
    whole = filter_log(sim, "ekf", "log", drive)
    parts = split_logs([whole], LogsConfig(test_share=0.5, test_gap_s=5.0))
    z = [part.drive.packets.z for each in parts for part in each]
    apart = len(drive.t) - sum(map(len, z))
    # Two gaps of five seconds of events belong to nothing.
    assert apart == pytest.approx(2 * 5.0 * sim.event_hz, abs=2)
    np.testing.assert_array_equal(z[0], drive.packets.z[: len(z[0])])
    np.testing.assert_array_equal(z[2], drive.packets.z[-len(z[2]) :])
    second = len(drive.t) // 2
    np.testing.assert_array_equal(z[1], drive.packets.z[second : second + len(z[1])])
    logs = [whole._replace(name=str(i)) for i in range(8)]
    parts = split_logs(logs, LogsConfig())
    names = [[part.name for part in each] for each in parts]
    assert names == [["0", "1", "2", "3", "4", "5"], ["6"], ["7"]]
    parts = split_logs(logs[:2], LogsConfig(test_gap_s=1.0))
    assert [[part.name for part in each] for each in parts] == [["0"], ["1"], ["1"]]
    with pytest.raises(UserError, match="too short to be split"):
        split_logs([whole], LogsConfig(test_gap_s=30.0))


def test_logs_that_share_readings_are_refused(scenario, long_drive):
    sim = scenario("linear")
    one_log = build_recording(sim, long_drive)
    other = build_recording(
        sim, long_drive._replace(packets=long_drive.packets._replace(z=long_drive.packets.z + 1.0))
    )
    check_distinct([("a", one_log), ("b", other)])
    with pytest.raises(UserError, match="b and a hold the same readings"):
        check_distinct([("a", one_log), ("b", one_log)])
    with pytest.raises(UserError, match="antenna in different places"):
        check_distinct([("a", one_log), ("b", other._replace(lever_arm_m=(1.0, 0.0, 0.0)))])


def test_a_stretch_goes_on_as_the_whole_did(scenario, long_drive):
    """The filter begun at a stretch's belief says there what it said over the whole log."""
    sim = scenario("linear")
    whole = filter_log(sim, "ekf", "log", long_drive)
    part = whole.slice(200, 300)
    batch = part.drive._replace(truth=None)
    as_one = Segment("x", batch, part.before).drive
    lone = type(as_one)(*[None if a is None else _batched(a) for a in as_one])
    track = run_filter(sim, lone, "ekf")
    every = run_filter(sim, _batched(long_drive._replace(truth=None)), "ekf")
    np.testing.assert_allclose(track.mean[0], every.mean[0, 200:300], rtol=1e-9, atol=1e-9)


def _batched(tree):
    import jax

    return jax.tree.map(lambda a: np.asarray(a)[None], tree)


def test_drawn_stretches_are_pieces_of_the_log(scenario, long_drive):
    sim = scenario("linear")
    whole = filter_log(sim, "ekf", "log", long_drive)
    rng = np.random.default_rng(0)
    found = sample_segments(sim, [whole.slice(0, 300)], 80, 50, rng)
    assert found.t.shape == (50, 80)
    starts = set()
    for z, t in zip(found.packets.z, found.t, strict=True):
        (first,) = np.flatnonzero((long_drive.packets.z == z[0]).all(axis=1))
        np.testing.assert_array_equal(z, long_drive.packets.z[first : first + 80])
        assert t[0] == 0
        assert first + 80 <= 300
        starts.add(int(first))
    assert len(starts) > 30
    parts = consecutive_segments(sim, [whole.slice(0, 300)], 80, 10, rng)
    assert parts.t.shape == (3, 80)
    wider = found._replace(
        packets=found.packets._replace(
            u=np.pad(found.packets.u, [(0, 0), (0, 0), (0, 3), (0, 0)]),
            dt=np.pad(found.packets.dt, [(0, 0), (0, 0), (0, 3)]),
        )
    )
    both = concatenate(parts, wider)
    assert both.packets.dt.shape == (53, 80, wider.packets.dt.shape[-1])


def test_a_run_on_a_log_is_judged_on_what_was_held_out(run, log_file):
    report = json.loads((run / "report" / "report.json").read_text())
    assert report["drives"] == 1
    assert report["drive_seconds"] == pytest.approx(20.0, abs=0.3)
    assert any("test part: the last 20 s of 60 s of minute" in n for n in report["notes"])
    assert "there is no ground truth to compare with" in report["verdict"]
    assert (run / "logs" / "000-minute.npz").exists()
    # Five seconds fit three times; thirty do not fit into twenty.
    assert {o["seconds"] for o in report["outages"]} <= {5.0, 10.0}
    rows = report["outages"][0]["rows"]
    assert set(rows) == {"gps", "ekf", "ukf", "student"}
    assert rows["ukf"]["end"] is None
    assert "Against withheld fixes" in (run / "report" / "report.md").read_text()


@pytest.mark.slow
def test_a_log_alone_teaches_too_and_a_run_is_taken_up(log_file, run, tmp_path, capsys):
    out = tmp_path / "alone"
    args = ["--log", str(log_file), "--mix", "0", "--init", str(run), "--quiet"]
    assert main(["train", *SMALL, *args, "--out", str(out)]) == 0
    settings = json.loads((out / "config.json").read_text())
    assert settings["logs"]["init"] == str(run)
    assert settings["student"]["hidden"] == 8
    # What --init does not leave to flags: gentle rates.
    assert settings["train"]["distil_learning_rate"] == 2e-3
    capsys.readouterr()


def test_estimates_are_written_for_each_event(run, log_file, tmp_path, capsys, long_drive):
    out = tmp_path / "est.csv"
    assert main(["predict", str(run), str(log_file), "--out", str(out), "--estimator", "ekf"]) == 0
    rows = list(csv.DictReader(out.open()))
    assert len(rows) == len(long_drive.t)
    assert float(rows[0]["t_s"]) == pytest.approx(1.7e9, abs=1e-3)
    assert main(["predict", str(run), str(log_file), "--out", str(out)]) == USAGE
    assert "already exists" in capsys.readouterr().err


def test_a_withheld_fix_is_not_seen(scenario, long_drive):
    """Dead reckoning sees none, so its error at the withheld fix is its plain error there."""
    sim = scenario("linear")
    drive = _batched(long_drive)

    def run(d):
        return {
            "ukf": run_filter(sim, d, "ukf"),
            "blind": run_filter(sim, d, "dead_reckoning"),
        }

    (found,) = outage_errors(sim, run, drive, (20.0,), (5.0,))
    whole = run(drive._replace(truth=None))
    event = int(np.flatnonzero(long_drive.packets.seen[:, 0] & (long_drive.t >= 25 - 1e-6))[0])
    blind = whole["blind"].mean[0, event, :2] - long_drive.packets.z[event]
    assert found["rows"]["blind"]["first_fix"] == pytest.approx(np.linalg.norm(blind))
    # The filter did not see that fix: it is farther off than where it did.
    seen = np.linalg.norm(whole["ukf"].mean[0, event, :2] - long_drive.packets.z[event])
    assert found["rows"]["ukf"]["first_fix"] > seen
    truth = np.linalg.norm(whole["blind"].mean[0, :, :2] - long_drive.truth[:, :2], axis=1)
    inside = (long_drive.t >= 20 - 1e-6) & (long_drive.t < 25 - 1e-6)
    assert found["rows"]["blind"]["largest"] == pytest.approx(truth[inside].max())


def test_impossible_wishes_are_refused(log_file, run, tmp_path, capsys):
    long = ["--log", str(log_file), "--seconds", "50", "--test-gap-s", "1"]
    long += ["--test-share", "0.5", "--out", str(tmp_path / "a")]
    assert main(["train", "--sim", "linear", *long, "--quiet"]) == 3
    assert "too short for drives of 50 s" in capsys.readouterr().err
    truth = ["--log", str(log_file), "--target", "truth", "--out", str(tmp_path / "b")]
    assert main(["train", *SMALL, *truth, "--quiet"]) == USAGE
    assert "logs have no truth" in capsys.readouterr().err
    assert main(["train", *SMALL, "--mix", "1", "--log", str(log_file)]) == USAGE
    assert "--mix must be in [0, 1), got 1.0" in capsys.readouterr().err
    assert main(["eval", str(run), "--map", "x.yaml"]) == USAGE
    assert main(["eval", str(run), "--log", str(log_file), "--map", "x.yaml"]) == USAGE
    assert "does not go with the drive file" in capsys.readouterr().err


def test_settings_of_logs_come_back_from_a_run(run):
    from kalmanrnn.training.run_directory import open_run

    logs = open_run(run).config().logs
    assert logs == LogsConfig(log=logs.log, test_share=0.5, test_gap_s=2.0)
    assert logs.log[0].endswith("minute.npz")


def test_innovations_of_a_track_are_the_filters_own(scenario, drives):
    """Carried on by the process model from the EKF's estimates, they are what the EKF computed."""
    sim = scenario("rover")
    batch = drives("rover", count=4, seconds=12.0)
    first = type(batch)(*[None if a is None else _batched(a) for a in one(batch)])
    track = run_filter(sim, first, "ekf")
    bare = track._replace(innovation=None, innovation_cov=None)
    found = collect_innovations(sim, first, {"ekf": track, "bare": bare})
    np.testing.assert_allclose(found.value["bare"], found.value["ekf"], atol=1e-9)
    assert "bare" not in found.sigma
    # Compasses speak degrees to people.
    assert found.units[0] == "deg"
    inside = innovation_stats(found, "ekf", 0, 2.0).inside
    assert 0.9 < inside <= 1.0


@pytest.mark.parametrize("name", ["rover", pytest.param("imu_gps", marks=pytest.mark.slow)])
def test_whoever_is_lost_in_heading_is_found(scenario, drives, name):
    """The truth faces the way it goes; turned by a quarter it does not."""
    sim = scenario(name)
    drive = one(drives(name, count=4, seconds=60.0 if name == "rover" else 12.0), 1)
    log = bind_log(sim, build_recording(sim, drive, first=_first_of(sim, drive)))
    fixes = find_fixes(sim, log.recording)
    truth = log.drive.truth[0]
    turned = np.array([sim.yaw_symmetry(x, np.zeros(sim.sigma.size), np.pi / 2)[0] for x in truth])
    tracks = {"true": Estimates(truth[None]), "lost": Estimates(turned[None])}
    t = log.start - log.recording.start + log.drive.t[0]
    found = heading_errors(sim, fixes, t, tracks)
    # PositionFixes of a metre, one or two seconds apart, tell the course of a slow rover roughly.
    assert found["true"] < 20.0
    assert found["lost"] == pytest.approx(90.0, abs=20.0)
    assert "lost in heading" in heading_note(found, {})[0]
    assert "lost in heading" not in heading_note({"true": 5.0}, {})[0]


def _first_of(sim, drive):
    return {b.name: tuple(drive.truth[0, sim.space.state_slice(b.name)]) for b in sim.space.blocks}
