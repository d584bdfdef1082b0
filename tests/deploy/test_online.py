"""One message at a time equals the batch, in whatever order messages arrive."""

import jax
import numpy as np
import pytest
from helpers import build_recording, one

import kalmanrnn
from kalmanrnn.core.config import StudentConfig
from kalmanrnn.core.errors import UserError
from kalmanrnn.deploy.online.estimator import OnlineEstimator, StateEstimate
from kalmanrnn.evaluation.estimates import run_student
from kalmanrnn.logs.binding.bound_log import bind_log
from kalmanrnn.logs.recording.geodesy import Origin, enu_to_geodetic, geodetic_to_enu
from kalmanrnn.logs.recording.recording import Recording
from kalmanrnn.models.student import blank_normaliser, make_student


def student_of(scenario, **settings):
    """A student that answers: its last layer is no longer zero."""
    student, params = make_student(
        scenario, StudentConfig(hidden=8, layers=1, head=8, **settings), seed=0
    )
    keys = iter(jax.random.split(jax.random.key(1), 100))
    params = jax.tree.map(lambda a: a + 0.02 * jax.random.normal(next(keys), a.shape), params)
    norm = blank_normaliser(student)
    scale = 0.3 * np.asarray(scenario.initial_std, np.float32)
    norm = norm._replace(
        output_std=jax.numpy.asarray(scale),
        innovation_std=jax.numpy.asarray(3 * scenario.sigma, jax.numpy.float32),
    )
    return student, params, norm


def messy(scenario, drive, rng, jitter_s=0.003):
    """A recording with uneven stamps, lost readings and a gap of two seconds."""
    recording = build_recording(scenario, drive)
    streams = []
    for stream in recording.streams:
        keep = rng.random(len(stream.t)) > 0.05
        if stream.name != "inputs":
            keep &= (stream.t < 4.0) | (stream.t > 6.0)
        keep[0] = keep[-1] = True
        t = stream.t + rng.uniform(-jitter_s, jitter_s, len(stream.t)) * (stream.t > 0)
        streams.append(stream._replace(t=t[keep], values=stream.values[keep]))
    space, start = scenario.space, drive.belief.mean
    first = {b.name: tuple(start[space.state_slice(b.name)]) for b in space.blocks}
    return Recording(0.0, tuple(streams), first=first)


def messages(recording, rng, late_s):
    """Every reading as (arrival, t, stream, values), in the order of arrival."""
    found = []
    for stream in recording.streams:
        late = 0.0 if stream.name == "inputs" else late_s
        for t, values in zip(stream.t, stream.values, strict=True):
            found.append((t + late * rng.random(), t, stream.name, values))
    return sorted(found, key=lambda m: m[0])


def last_event(online):
    """Time and state of the newest event after its measurements, without prediction."""
    event = online._filter.events[-1]
    return StateEstimate(event.t, online._to_world(event.state.mean))


def feed(online, found):
    for _, t, name, values in found:
        if name == "inputs":
            online.on_input(t, values)
        else:
            online.on(name, t, values)


@pytest.mark.parametrize("late_s", [0.0, 0.45])
@pytest.mark.parametrize("name", ["imu_gps", "rover", "linear"])
def test_messages_one_by_one_equal_the_batch(scenario, drives, name, late_s):
    """1e-5: both are float32, their sums over ticks are grouped differently."""
    sim = scenario(name)
    made = drives(name, count=8, seconds=12.0)
    fast = np.abs(np.diff(made.packets.z[:, :, :2], axis=1)).sum(axis=(1, 2)).argmax()
    drive = one(made, int(fast))
    rng = np.random.default_rng(3)
    recording = messy(sim, drive, rng)
    log = bind_log(sim, recording)
    student, params, norm = student_of(sim)
    batch = run_student(student, params, norm, log.drive)
    online = OnlineEstimator(student, params, norm, max_delay_s=0.5)
    online.start(log.drive.belief.mean[0])
    begin = log.start - 1e-6
    found = [m for m in messages(recording, rng, late_s) if m[2] == "inputs" or m[1] >= begin]
    feed(online, found)
    assert online.dropped["late"] == 0
    last = last_event(online)
    assert last.t == pytest.approx(log.start + log.drive.t[0, -1], abs=1e-6)
    scale = np.maximum(np.abs(batch.mean[0]).max(axis=0), 1.0)
    np.testing.assert_allclose(last.mean / scale, batch.mean[0, -1] / scale, atol=1e-5)


def test_every_estimate_on_the_way_is_the_batchs(scenario, drives):
    sim = scenario("imu_gps")
    drive = one(drives("imu_gps", count=8, seconds=12.0), 2)
    recording = build_recording(sim, drive)
    log = bind_log(sim, recording)
    student, params, norm = student_of(sim)
    batch = run_student(student, params, norm, log.drive).mean[0]
    online = OnlineEstimator(student, params, norm)
    online.start(log.drive.belief.mean[0])
    seen = {}
    begin = log.start - recording.start - 1e-6
    for _, t, name, values in messages(recording, np.random.default_rng(0), 0.0):
        if name == "inputs":
            newest = online.on_imu(t, values[:3], values[3:])
        elif t >= begin:
            newest = online.on_gps(t, values)
        # A fix stamped a rounding error after the newest input waits for the next one.
        if online._filter.events:
            seen[round(last_event(online).t, 3)] = last_event(online).mean
    for t, mean in zip(log.drive.t[0] + begin, batch, strict=True):
        # Hundreds of metres in float32.
        np.testing.assert_allclose(seen[round(t, 3)], mean, rtol=1e-5, atol=1e-4)
    # Between fixes the newest estimate is the last one carried on by the process model.
    assert newest.t == pytest.approx(drive.t[-1])


def test_a_reading_too_late_is_dropped_and_counted(scenario, drives):
    sim = scenario("rover")
    drive = one(drives("rover", count=4, seconds=12.0))
    recording = build_recording(sim, drive)
    student, params, norm = student_of(sim)
    online = OnlineEstimator(student, params, norm, max_delay_s=0.2)
    online.start(drive.belief.mean)
    inputs = recording.streams[0]
    for t, u in zip(inputs.t, inputs.values, strict=True):
        online.on_input(t, u)
    before = online.on("gps", 0.0, [0.0, 0.0])
    assert before is None
    assert online.dropped["late"] == 1
    assert online.on("gps", inputs.t[-1] + 5.0, [0.0, 0.0]) is None
    assert online.dropped["ahead"] == 1
    assert online.on("gps", inputs.t[-1] - 0.1, drive.truth[-1, :2]) is not None
    online.on_input(1.0, inputs.values[0])
    assert online.dropped["old"] == 1


def test_a_week_of_messages_needs_no_more_memory(scenario, drives):
    """Buffers stay as they are after many times their room."""
    sim = scenario("linear")
    student, params, norm = student_of(sim)
    online = OnlineEstimator(student, params, norm)
    online.start()
    for i in range(9000):
        online.on("gps" if "gps" in online._sensors else sim.sensors[0].name, 0.1 * i, [0.0, 0.0])
    assert len(online._filter.events) < 5000
    assert len(online._filter.readings) < 5000


def test_wrong_messages_are_refused(scenario):
    sim = scenario("imu_gps")
    student, params, norm = student_of(sim)
    online = OnlineEstimator(student, params, norm)
    assert online.on_gps(0.0, [0, 0, 0]) is None
    assert online.dropped["unstarted"] == 1
    for start in ({"position": [np.nan, 0, 0]}, {"attitude": [0, 0, 0, 5]}, {"mean": np.zeros(3)}):
        with pytest.raises(ValueError, match=r"finite|length 1|broadcast"):
            online.start(**start)
    with pytest.raises(UserError, match="accelerometer reads 1"):
        online.start_level([0.0, 0.0, 1.0], heading_rad=0.3)
    with pytest.raises(ValueError, match="no block 'place'"):
        online.start(place=[0, 0, 0])
    online.start_level([0.0, 0.0, 9.8], heading_rad=0.3)
    for bad in ([0, 0], [0, 0, np.nan]):
        with pytest.raises(ValueError, match="expected 3 finite"):
            online.on_gps(0.0, bad)
    for bad in ((0, 0, 0, 0, 0, np.inf), (0, 0)):
        with pytest.raises(ValueError, match=r"finite|shape"):
            online.on_input(0.0, bad)
    with pytest.raises(ValueError, match="no sensor 'radar'"):
        online.on("radar", 0.0, [1.0])
    tick = make_student(sim, StudentConfig(hidden=8, every="tick"), seed=0)
    with pytest.raises(UserError, match="every tick"):
        OnlineEstimator(*tick, norm)


def test_geodetic_fixes_equal_fixes_in_metres(scenario, drives):
    """The first fix is the origin of the local world."""
    sim = scenario("imu_gps")
    drive = one(drives("imu_gps", count=8, seconds=12.0), 2)
    recording = build_recording(sim, drive)
    earth = Origin(49.0, 8.4, 110.0)
    student, params, norm = student_of(sim)
    plain, geodetic = (OnlineEstimator(student, params, norm) for _ in range(2))
    for online in (plain, geodetic):
        online.start_level([0.0, 0.0, 9.8], heading_rad=0.3)
    origin = None
    for _, t, name, values in messages(recording, np.random.default_rng(0), 0.0)[:400]:
        if name == "inputs":
            estimates = plain.on_input(t, values), geodetic.on_input(t, values)
            continue
        fix = enu_to_geodetic(earth, values[None])[0]
        origin = fix if origin is None else origin
        metres = geodetic_to_enu(Origin(*origin), fix[None])[0]
        estimates = plain.on_gps(t, metres), geodetic.on_gps_geodetic(t, *fix)
    np.testing.assert_array_equal(estimates[0].mean, estimates[1].mean)


def test_the_package_hands_it_out():
    assert kalmanrnn.OnlineEstimator is OnlineEstimator


def test_sensors_near_their_rates_limit_are_thinned_as_in_the_batch(scenario, drives):
    """Readings join events that began a little earlier; what counts is their own time."""
    sim = scenario("rover")
    drive = one(drives("rover", count=4, seconds=12.0), 2)
    recording = build_recording(sim, drive)
    rng = np.random.default_rng(0)
    streams = [recording.streams[0]]
    for stream, rate_hz in zip(recording.streams[1:], (10.0, 5.0), strict=True):
        # Intervals just about the shortest that are kept.
        t = 0.05 + np.cumsum(rng.uniform(0.70, 0.80, 200) / rate_hz)
        t = t[t < recording.streams[0].t[-1]]
        values = np.resize(stream.values, (len(t), stream.values.shape[1]))
        streams.append(stream._replace(t=t, values=values))
    space, start = sim.space, drive.belief.mean
    first = {b.name: tuple(start[space.state_slice(b.name)]) for b in space.blocks}
    recording = recording._replace(streams=tuple(streams), first=first, start=0.0)
    log = bind_log(sim, recording)
    student, params, norm = student_of(sim)
    batch = run_student(student, params, norm, log.drive).mean[0]
    online = OnlineEstimator(student, params, norm)
    online.start(log.drive.belief.mean[0])
    feed(online, messages(recording, rng, 0.0))
    assert last_event(online).t == pytest.approx(log.start + log.drive.t[0, -1])
    np.testing.assert_allclose(last_event(online).mean, batch[-1], rtol=1e-5, atol=1e-4)


def test_a_clock_that_jumps_is_refused_at_once(scenario, drives):
    sim = scenario("rover")
    drive = one(drives("rover", count=4, seconds=12.0))
    student, params, norm = student_of(sim)
    online = OnlineEstimator(student, params, norm)
    online.start(drive.belief.mean)
    online.on_input(0.0, drive.packets.u[0, 0])
    online.on("gps", 0.0, drive.truth[0, :2])
    with pytest.raises(ValueError, match="clock jumped"):
        online.on_input(1.7e9, drive.packets.u[0, 0])
