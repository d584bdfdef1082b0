"""A recording bound to a scenario is the drive it came from; every scenario goes the same way."""

from dataclasses import replace

import numpy as np
import pytest
from helpers import build_recording, one

from kalmanrnn.core.errors import DATA, UserError
from kalmanrnn.core.state_space import Block, StateSpace
from kalmanrnn.logs.binding.bound_log import bind_log
from kalmanrnn.logs.binding.initial_heading import find_heading
from kalmanrnn.logs.binding.truth import truth_at
from kalmanrnn.logs.recording.recording import Stream, load_recording, save_recording
from kalmanrnn.logs.recording.time_alignment import fill_gaps, merge_times


@pytest.mark.parametrize("name", ["imu_gps", "rover", "linear", "lorenz"])
def test_a_simulated_drive_comes_back(scenario, drives, name):
    sim = scenario(name)
    drive = one(drives(name, count=4, seconds=12.0))
    first = {
        b.name: tuple(drive.belief.mean[sim.space.state_slice(b.name)]) for b in sim.space.blocks
    }
    recording = build_recording(sim, drive, first=first)
    log = bind_log(sim, recording)
    back = one(log.drive)
    # imu_gps may start later, once it is fast enough for a course.
    skipped = len(drive.t) - len(back.t)
    assert skipped == 0 or name == "imu_gps"
    np.testing.assert_allclose(back.t, drive.t[skipped:] - drive.t[skipped], atol=1e-9)
    np.testing.assert_array_equal(back.packets.seen, drive.packets.seen[skipped:])
    np.testing.assert_allclose(back.packets.z, drive.packets.z[skipped:], atol=1e-12)
    k = sim.ticks_per_event
    np.testing.assert_allclose(back.packets.u[:-1, :k], drive.packets.u[skipped:-1], atol=1e-8)
    np.testing.assert_allclose(back.packets.dt[:-1].sum(axis=1), 1 / sim.event_hz)
    np.testing.assert_allclose(back.truth, drive.truth[skipped:], atol=1e-9)
    np.testing.assert_allclose(back.belief.mean, drive.belief.mean)
    assert log.start == pytest.approx(1.7e9 + drive.t[skipped])


def test_a_drive_file_keeps_everything(scenario, drives, tmp_path):
    sim = scenario("rover")
    recording = build_recording(sim, one(drives("rover", count=4, seconds=12.0)))
    recording = recording._replace(
        notes=("a", "b"), first={"heading": (0.1,)}, map="imu: {}\n", lever_arm_m=(0.1, 0.2, 0.3)
    )
    save_recording(tmp_path / "d.npz", recording)
    back = load_recording(tmp_path / "d.npz")
    assert back._replace(streams=(), reference=None) == recording._replace(
        streams=(), reference=None
    )
    for a, b in zip(
        [*back.streams, back.reference], [*recording.streams, recording.reference], strict=True
    ):
        assert (a.name, a.channels, a.units) == (b.name, b.channels, b.units)
        np.testing.assert_array_equal(a.t, b.t)
        np.testing.assert_array_equal(a.values, b.values)


def test_a_slow_robots_heading_is_found(scenario, drives):
    """The first heading of a rover without compass, whichever it was, to a few degrees."""
    sim = scenario("rover")
    drive = one(drives("rover", count=4, seconds=60.0), 1)
    seen = drive.packets.seen & [False, True]
    drive = drive._replace(packets=drive.packets._replace(seen=seen))
    mean = np.array([*drive.truth[0, :2], 0.0])
    found = find_heading(sim, mean, ("position",), drive)
    off = np.degrees(found.mean[2] - drive.truth[0, 2])
    # The compass's own sigma is 3 degrees; GPS over a minute gives about as much.
    assert abs((off + 180) % 360 - 180) < 6.0
    assert found.margin > 5.0


def test_events_are_known_without_looking_ahead():
    """Cutting the end off never changes an event that came before it."""
    rng = np.random.default_rng(0)
    t = np.cumsum(rng.exponential(0.3, 60))
    for end in (10, 30, 59):
        whole, _ = fill_gaps(t, 0.2)
        part, _ = fill_gaps(t[:end], 0.2)
        np.testing.assert_array_equal(whole[: len(part)], part)


def test_readings_near_each_other_share_an_event():
    t, index = merge_times([np.array([0.0, 0.1, 0.2]), np.array([0.004, 0.15, 0.152])], 0.005)
    np.testing.assert_allclose(t, [0.0, 0.1, 0.15, 0.152, 0.2])
    np.testing.assert_array_equal(index[0], [0, 1, 4])
    np.testing.assert_array_equal(index[1], [0, 2, 3])


def test_the_logs_own_noise_reaches_the_filters(scenario, drives):
    sim = scenario("linear")
    drive = one(drives("linear", count=4, seconds=12.0))
    recording = build_recording(sim, drive)
    stream = recording.streams[-1]
    variance = np.full(stream.values.shape, 4.0)
    variance[0] = np.nan
    others = recording.streams[:-1]
    log = bind_log(sim, recording._replace(streams=(*others, stream._replace(variance=variance))))
    assert log.scenario.sensors[0].sigma == (2.0, 2.0)
    assert any("from the log's messages" in n for n in log.notes)
    unknown = stream._replace(variance=np.full(stream.values.shape, np.nan))
    same = bind_log(sim, recording._replace(streams=(*others, unknown)))
    assert same.scenario.sensors == sim.sensors


def test_columns_may_stand_in_any_order(scenario, drives):
    sim = scenario("linear")
    recording = build_recording(sim, one(drives("linear", count=4, seconds=12.0)))
    stream = recording.streams[-1]
    turned = stream._replace(values=stream.values[:, ::-1], channels=stream.channels[::-1])
    others = recording.streams[:-1]
    a, b = bind_log(sim, recording), bind_log(sim, recording._replace(streams=(*others, turned)))
    np.testing.assert_array_equal(a.drive.packets.z, b.drive.packets.z)
    np.testing.assert_array_equal(a.drive.belief.mean, b.drive.belief.mean)


def test_a_gap_that_no_filter_is_carried_through_is_refused(scenario, drives):
    sim = scenario("linear")
    recording = build_recording(sim, one(drives("linear", count=4, seconds=12.0)))
    late = [s._replace(t=np.where(s.t > 6, s.t + 1e6, s.t)) for s in recording.streams]
    with pytest.raises(UserError, match="no readings for 1000000 s") as caught:
        bind_log(sim, recording._replace(streams=tuple(late)))
    assert "window" in caught.value.cure


def test_a_heading_that_the_log_does_not_tell_is_taken_for_unknown(scenario, drives):
    """A rover that stands still: any heading fits, and the belief says so."""
    sim = scenario("rover")
    drive = one(drives("rover", count=4, seconds=12.0))
    seen = drive.packets.seen & [False, True]
    packets = drive.packets._replace(u=np.zeros_like(drive.packets.u), seen=seen)
    still = build_recording(sim, drive._replace(packets=packets))
    values = np.zeros_like(still.streams[2].values)
    streams = (still.streams[0], still.streams[2]._replace(values=values))
    log = bind_log(sim, still._replace(streams=streams))
    assert any("taken as unknown" in note for note in log.notes)
    assert np.sqrt(log.drive.belief.cov[0, 2, 2]) > np.pi / np.sqrt(3)


def test_what_a_log_lacks_is_named(scenario, drives):
    sim = scenario("rover")
    drive = one(drives("rover", count=4, seconds=12.0))
    recording = build_recording(sim, drive)
    with pytest.raises(UserError, match="no wheel_left, wheel_right") as caught:
        bind_log(sim, recording._replace(streams=recording.streams[1:]))
    assert caught.value.code == DATA
    log = bind_log(sim, recording._replace(streams=recording.streams[:1] + recording.streams[2:]))
    assert any("compass: no readings within the log" in n for n in log.notes)
    assert not log.drive.packets.seen[..., 0].any()
    silent = recording._replace(streams=recording.streams[:1])
    with pytest.raises(UserError, match="too few readings"):
        bind_log(sim, silent)
    deaf = replace(sim, yaw_symmetry=None)
    with pytest.raises(UserError, match="initial heading"):
        bind_log(deaf, recording)
    with pytest.raises(UserError, match="heading: 2 numbers"):
        bind_log(sim, recording._replace(first={"heading": (0.0, 1.0)}))


def test_a_references_heading_is_taken_the_short_way_round():
    """Between 179 and -179 degrees lies 180, not 0."""
    space = StateSpace((Block("heading", "angle"),))
    values = np.radians([[179.0], [-179.0], [-177.0]])
    reference = Stream("r", np.array([0.0, 0.5, 1.0]), values, ("heading_0",), ("rad",))
    found = truth_at(space, reference, np.array([0.25, 0.75, 1.5]))
    off = np.degrees(found[:2, 0]) % 360
    np.testing.assert_allclose(off, [180.0, 182.0], atol=1e-9)
    # Past its end the reference says nothing.
    assert np.isnan(found[2, 0])
