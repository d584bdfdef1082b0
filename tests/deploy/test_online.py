"""One message at a time says what the batch says, whatever the order messages come in."""

import jax
import numpy as np
import pytest
from helpers import one, recording_of

import kalmanrnn
from kalmanrnn.core.config import StudentConfig
from kalmanrnn.core.errors import UserError
from kalmanrnn.deploy.online.estimator import Stepper
from kalmanrnn.evaluation.estimates import run_student
from kalmanrnn.logs.binding.bind import bind
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
    recording = recording_of(scenario, drive)
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


def feed(stepper, found):
    for _, t, name, values in found:
        if name == "inputs":
            stepper.on_input(t, values)
        else:
            stepper.on(name, t, values)


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
    log = bind(sim, recording)
    student, params, norm = student_of(sim)
    batch = run_student(student, params, norm, log.drive)
    stepper = Stepper(student, params, norm, max_delay_s=0.5)
    stepper.start(log.drive.belief.mean[0])
    begin = log.start - 1e-6
    found = [m for m in messages(recording, rng, late_s) if m[2] == "inputs" or m[1] >= begin]
    feed(stepper, found)
    assert stepper.dropped["late"] == 0
    last = stepper.last_event
    assert last.t == pytest.approx(log.start + log.drive.t[0, -1], abs=1e-6)
    scale = np.maximum(np.abs(batch.mean[0]).max(axis=0), 1.0)
    np.testing.assert_allclose(last.mean / scale, batch.mean[0, -1] / scale, atol=1e-5)


def test_every_estimate_on_the_way_is_the_batchs(scenario, drives):
    sim = scenario("imu_gps")
    drive = one(drives("imu_gps", count=8, seconds=12.0), 2)
    recording = recording_of(sim, drive)
    log = bind(sim, recording)
    student, params, norm = student_of(sim)
    batch = run_student(student, params, norm, log.drive).mean[0]
    stepper = Stepper(student, params, norm)
    stepper.start(log.drive.belief.mean[0])
    seen = {}
    begin = log.start - recording.start - 1e-6
    for _, t, name, values in messages(recording, np.random.default_rng(0), 0.0):
        if name == "inputs":
            newest = stepper.on_imu(t, values[:3], values[3:])
        elif t >= begin:
            newest = stepper.on_gps(t, values)
        # A fix stamped a rounding error after the newest input waits for the next one.
        if stepper.last_event is not None:
            seen[round(stepper.last_event.t, 3)] = stepper.last_event.mean
    for t, mean in zip(log.drive.t[0] + begin, batch, strict=True):
        # Hundreds of metres in float32.
        np.testing.assert_allclose(seen[round(t, 3)], mean, rtol=1e-5, atol=1e-4)
    # Between fixes the newest estimate is the last one carried on by the process model.
    assert newest.t == pytest.approx(drive.t[-1])


def test_a_reading_too_late_is_dropped_and_counted(scenario, drives):
    sim = scenario("rover")
    drive = one(drives("rover", count=4, seconds=12.0))
    recording = recording_of(sim, drive)
    student, params, norm = student_of(sim)
    stepper = Stepper(student, params, norm, max_delay_s=0.2)
    stepper.start(drive.belief.mean)
    inputs = recording.streams[0]
    for t, u in zip(inputs.t, inputs.values, strict=True):
        stepper.on_input(t, u)
    before = stepper.on("gps", 0.0, [0.0, 0.0])
    assert before is None
    assert stepper.dropped["late"] == 1
    assert stepper.on("gps", inputs.t[-1] + 5.0, [0.0, 0.0]) is None
    assert stepper.dropped["ahead"] == 1
    assert stepper.on("gps", inputs.t[-1] - 0.1, drive.truth[-1, :2]) is not None
    stepper.on_input(1.0, inputs.values[0])
    assert stepper.dropped["old"] == 1


def test_a_week_of_messages_needs_no_more_memory(scenario, drives):
    """Buffers stay as they are after many times their room."""
    sim = scenario("linear")
    student, params, norm = student_of(sim)
    stepper = Stepper(student, params, norm)
    stepper.start()
    for i in range(9000):
        stepper.on("gps" if "gps" in stepper._names else sim.sensors[0].name, 0.1 * i, [0.0, 0.0])
    assert len(stepper._events) < 5000
    assert len(stepper._readings) < 5000


def test_wrong_messages_are_refused(scenario):
    sim = scenario("imu_gps")
    student, params, norm = student_of(sim)
    stepper = Stepper(student, params, norm)
    assert stepper.on_gps(0.0, [0, 0, 0]) is None
    assert stepper.dropped["unstarted"] == 1
    for start in ({"position": [np.nan, 0, 0]}, {"attitude": [0, 0, 0, 5]}, {"mean": np.zeros(3)}):
        with pytest.raises(ValueError, match=r"finite|length 1|broadcast"):
            stepper.start(**start)
    with pytest.raises(UserError, match="accelerometer reads 1"):
        stepper.start_level([0.0, 0.0, 1.0], heading_rad=0.3)
    with pytest.raises(ValueError, match="no block 'place'"):
        stepper.start(place=[0, 0, 0])
    stepper.start_level([0.0, 0.0, 9.8], heading_rad=0.3)
    for bad in ([0, 0], [0, 0, np.nan]):
        with pytest.raises(ValueError, match="expected 3 finite"):
            stepper.on_gps(0.0, bad)
    for bad in ((0, 0, 0, 0, 0, np.inf), (0, 0)):
        with pytest.raises(ValueError, match=r"finite|shape"):
            stepper.on_input(0.0, bad)
    with pytest.raises(ValueError, match="no sensor 'radar'"):
        stepper.on("radar", 0.0, [1.0])
    tick = make_student(sim, StudentConfig(hidden=8, every="tick"), seed=0)
    with pytest.raises(UserError, match="every tick"):
        Stepper(*tick, norm)


def test_the_package_hands_it_out():
    assert kalmanrnn.Stepper is Stepper


def test_sensors_near_their_rates_limit_are_thinned_as_in_the_batch(scenario, drives):
    """Readings join events that began a little earlier; what counts is their own time."""
    sim = scenario("rover")
    drive = one(drives("rover", count=4, seconds=12.0), 2)
    recording = recording_of(sim, drive)
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
    log = bind(sim, recording)
    student, params, norm = student_of(sim)
    batch = run_student(student, params, norm, log.drive).mean[0]
    stepper = Stepper(student, params, norm)
    stepper.start(log.drive.belief.mean[0])
    feed(stepper, messages(recording, rng, 0.0))
    assert stepper.last_event.t == pytest.approx(log.start + log.drive.t[0, -1])
    np.testing.assert_allclose(stepper.last_event.mean, batch[-1], rtol=1e-5, atol=1e-4)


def test_a_clock_that_jumps_stops_the_stepper_at_once(scenario, drives):
    sim = scenario("rover")
    drive = one(drives("rover", count=4, seconds=12.0))
    student, params, norm = student_of(sim)
    stepper = Stepper(student, params, norm)
    stepper.start(drive.belief.mean)
    stepper.on_input(0.0, drive.packets.u[0, 0])
    stepper.on("gps", 0.0, drive.truth[0, :2])
    with pytest.raises(ValueError, match="clock jumped"):
        stepper.on_input(1.7e9, drive.packets.u[0, 0])
