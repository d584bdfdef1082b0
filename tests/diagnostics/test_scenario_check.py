"""Each fault planted is found and named; its healthy twin stays silent."""

from dataclasses import replace
from functools import lru_cache, partial
from itertools import count

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kalmanrnn.core.datatypes import Drive, Packet
from kalmanrnn.core.errors import DATA, OK
from kalmanrnn.core.state_space import Block, StateSpace
from kalmanrnn.diagnostics.finding import Finding, exit_code, format_findings
from kalmanrnn.diagnostics.scenario.check import check_scenario
from kalmanrnn.diagnostics.scenario.consistency import (
    check_consistency,
    check_initial_belief,
    check_teacher,
    consistency_test,
)
from kalmanrnn.diagnostics.scenario.description import check_description
from kalmanrnn.diagnostics.scenario.evidence import Evidence, collect_evidence
from kalmanrnn.diagnostics.scenario.invariants import check_invariants, check_manifold
from kalmanrnn.diagnostics.scenario.observability import check_observable
from kalmanrnn.diagnostics.scenario.process_noise import check_process_noise
from kalmanrnn.diagnostics.scenario.samples import draw_random, sample_models
from kalmanrnn.scenarios.sensors import Channel, Sensor


def only(findings, level):
    return [f for f in findings if f.level == level]


def found(findings, name):
    """Return the finding of that name, which must be the only complaint."""
    complaints = [f for f in findings if f.level != "ok"]
    assert [f.name for f in complaints] == [name], format_findings(findings)
    return complaints[0]


@lru_cache
def _sound(scenario) -> Evidence:
    """What a healthy scenario did, gathered once."""
    return collect_evidence(scenario, 0)


def tried(faulty, healthy) -> Evidence:
    """Try a faulty scenario's models along a healthy one's truth: a third of the compiling."""
    seen = _sound(healthy)
    with jax.enable_x64(True):
        made = jax.jit(partial(sample_models, faulty))(seen.truth, seen.u, draw_random(faulty, 0))
    names = (
        "after",
        "residual",
        "noise",
        "process_jacobian",
        "transition",
        "measurement_jacobian",
        "samples",
    )
    made = jax.tree.map(np.asarray, made)
    return seen._replace(**dict(zip(names, made, strict=True)))


def laws(faulty, healthy):
    return check_invariants(faulty, tried(faulty, healthy))


@pytest.fixture(scope="module")
def rover(scenario):
    return scenario("rover")


@pytest.fixture(scope="module")
def linear(scenario):
    return scenario("linear")


def with_sensor(scenario, index, **changes):
    sensors = list(scenario.sensors)
    sensors[index] = replace(sensors[index], **changes)
    return replace(scenario, sensors=tuple(sensors))


SHIPPED = ["linear", "rover", "lorenz", pytest.param("imu_gps", marks=pytest.mark.slow)]


def assert_sound(name, findings):
    # The literature's Lorenz system has no units.
    complaints = [f.name for f in findings if f.level != "ok"]
    assert complaints == (["units"] if name == "lorenz" else []), format_findings(findings)
    assert exit_code(findings) == OK


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_sims_are_sound(name, scenario):
    findings = check_scenario(scenario(name))
    assert_sound(name, findings)
    assert len(findings) == len({f.name for f in findings}) > 10


@pytest.mark.slow
@pytest.mark.parametrize("name", ["linear", "rover", "lorenz", "imu_gps"])
def test_other_draws_of_shipped_sims_are_sound_too(name, scenario):
    for seed in (1, 2):
        assert_sound(name, check_scenario(scenario(name), seed=seed))


def test_findings_are_shown_with_their_cures():
    findings = [Finding("ok", "a", "fine"), Finding("error", "long", "bad", cure="mend it")]
    assert format_findings(findings).splitlines() == [
        "ok       a     fine",
        "error    long  bad",
        "               cure:     mend it",
        "",
        "1 error, 0 warnings",
    ]
    assert exit_code(findings) == DATA
    assert exit_code(findings[:1]) == OK


def test_wrong_shapes_and_what_jax_cannot_trace(linear):
    f = found(check_scenario(replace(linear, process=lambda x, u, dt: x[:3])), "shapes")
    assert f.level == "error"
    assert "process must return (4,), returns (3,)" in f.what

    def choosy(x, u, dt):
        return x if x[0] > 0 else -x

    f = found(check_scenario(replace(linear, process=choosy)), "shapes")
    assert "process cannot be traced by jax: TracerBoolConversionError" in f.what
    short = replace(
        linear, simulate_truth=lambda key, ticks: (jnp.zeros((ticks, 4)), jnp.zeros((ticks, 0)))
    )
    assert "simulate_truth(8 ticks)" in found(check_scenario(short), "shapes").what
    f = found(check_scenario(with_sensor(linear, 0, measure=lambda x: x)), "shapes")
    assert "measure of gps must return (2,), returns (4,)" in f.what


def test_constants_that_change_the_precision(linear):
    wide = replace(linear, process=lambda x, u, dt: linear.process(x, u, dt) + np.zeros(4))
    f = found(check_description(wide), "precision")
    assert (f.level, f.what) == ("warning", "process makes float64 of float32")
    narrow = replace(linear, process=lambda x, u, dt: linear.process(x, u, dt).astype(jnp.float32))
    f = found(check_description(narrow), "precision")
    assert (f.level, f.what) == ("error", "process makes float32 of float64")


def test_models_that_are_not_functions(linear):
    rng, calls = np.random.default_rng(0), count()
    for other in (lambda: float(rng.normal()), lambda: float(next(calls))):
        noisy = replace(linear, process=lambda x, u, dt, o=other: linear.process(x, u, dt) + o())
        f = found(check_description(noisy), "purity")
        assert f.level == "error"
        assert "process" in f.what


def test_units_that_are_missing_or_foreign(rover):
    inputs = (*rover.inputs[:2], Channel("gyro_z", "deg/s"), Channel("accel_forward", ""))
    f = found(check_description(replace(rover, inputs=inputs)), "units")
    assert f.level == "warning"
    assert f.what == "input gyro_z is in deg/s, not rad/s; input accel_forward has no unit"


def test_slopes_that_are_not_finite(linear):
    def distance(x):
        # The classic: the slope of a norm at 0, where the first belief of this one starts.
        return jnp.stack([jnp.linalg.norm(x[:2] * 0), x[1]])

    f = found(laws(with_sensor(linear, 0, measure=distance), linear), "finite")
    assert f.level == "error"
    assert "the Jacobian of measure is not finite in gps's gps_east" in f.what
    assert "gps_north" not in f.what

    def divides(x, u, dt):
        return linear.process(x, u, dt).at[2].multiply(dt / dt)

    f = found(laws(replace(linear, process=divides), linear), "finite")
    assert f.what.startswith("process at dt = 0 is not finite in velocity")


def test_states_off_the_manifold(rover):
    def unwrapped(x, u, dt):
        after = rover.process(x, u, dt)
        return after.at[2].add(2 * jnp.pi * (after[2] > 2.0))

    f = found(laws(replace(rover, process=unwrapped), rover), "manifold")
    assert "process returns for heading an angle of" in f.what


def test_a_quaternion_that_grows(scenario):
    imu = scenario("imu_gps")
    x = np.broadcast_to(imu.space.identity(), (2, 5, 16)).copy()
    empty = Evidence(*[None] * len(Evidence._fields))
    assert check_manifold(imu, empty._replace(truth=x, after=x)).level == "ok"
    longer = x * np.array([1 + 1e-6] * 4 + [1] * 12)
    f = check_manifold(imu, empty._replace(truth=x, after=longer))
    assert f.level == "error"
    assert f.what == "process returns for attitude a quaternion 1e-06 off length 1"


class Halved(StateSpace):
    """Moves only half as far as it is told in its last number."""

    def retract(self, x, d):
        return super().retract(x, d.at[-1].multiply(0.5))


def test_a_retract_that_difference_does_not_undo(linear):
    findings = laws(replace(linear, space=Halved(linear.space.blocks)), linear)
    f = found(findings, "retract")
    assert f.level == "error"
    assert "off d in velocity" in f.what
    assert "position" not in f.what


def test_ticks_of_no_length_that_do_something(linear):
    def fixed(x, u, dt):
        return linear.process(x, u, dt).at[3].add(1e-4)

    f = found(laws(replace(linear, process=fixed), linear), "dt = 0")
    assert f.what == "process moves velocity by 0.0001 at dt = 0"
    always = linear.process_noise(jnp.zeros(4), jnp.zeros(0), jnp.asarray(0.1))
    constant = replace(linear, process_noise=lambda x, u, dt: jnp.asarray(always, x.dtype))
    f = found(laws(constant, linear), "dt = 0")
    assert "process_noise adds 0.025 to velocity at dt = 0" in f.what


def test_a_turn_that_is_none(rover):
    def half(x, z, angle):
        there, seen = rover.yaw_symmetry(x, z, angle)
        return there, seen.at[0].set(z[0])

    f = found(laws(replace(rover, yaw_symmetry=half), rover), "yaw_symmetry")
    assert "measure and yaw_symmetry do not commute: compass's compass is" in f.what
    assert "gps" not in f.what

    def still(x, z, angle):
        there, seen = rover.yaw_symmetry(x, z, angle)
        return there.at[2].set(x[2]), seen.at[0].set(z[0])

    f = found(laws(replace(rover, yaw_symmetry=still), rover), "yaw_symmetry")
    assert "process and yaw_symmetry do not commute: position" in f.what


def test_an_origin_that_is_known(rover):
    beacon = Sensor(
        "beacon",
        (Channel("range", "m"),),
        5.0,
        (0.5,),
        lambda x: jnp.sqrt(x[:2] @ x[:2] + 1e-6)[None],
    )
    with_beacon = replace(rover, sensors=(*rover.sensors, beacon), yaw_symmetry=None)
    f = found(laws(with_beacon, rover), "origin")
    assert f.level == "error"
    assert f.what.startswith("beacon's range is")
    assert "when the origin moves by 10 km" in f.what
    assert not only(laws(replace(with_beacon, origin=""), rover), "warning")


def test_what_no_sensor_sees(scenario):
    lorenz = scenario("linear")
    blind = replace(
        lorenz,
        space=StateSpace((*lorenz.space.blocks, Block("scale", size=1, unit="1"))),
        process=lambda x, u, dt: jnp.concatenate([lorenz.process(x[:4], u, dt), x[4:]]),
        process_noise=lambda x, u, dt: (
            jnp.zeros((5, 5), x.dtype).at[:4, :4].set(lorenz.process_noise(x[:4], u, dt))
        ),
        initial_std=(*lorenz.initial_std, 0.3),
        simulate_truth=lambda key, ticks: _with_scale(lorenz.simulate_truth(key, ticks), key),
    )
    f = found(check_scenario(blind), "observability")
    assert f.level == "warning"
    assert f.what.startswith("one direction is not observable in 29.9 s: scale (1.00)")


def _with_scale(made, key):
    truth, u = made
    scale = 0.3 * jax.random.normal(jax.random.fold_in(key, 7), (1, 1))
    return jnp.concatenate([truth, jnp.broadcast_to(scale, (len(truth), 1))], axis=1), u


def test_directions_are_told_in_words_and_weak_from_hidden(linear):
    def seen(rows):
        """One drive of two events at which the state stands still and rows are read."""
        reading = np.zeros((1, 2, 2, 4))
        reading[0, :] = rows
        packets = Packet(None, np.ones((1, 2, 1), bool), None, None)
        drives = Drive(np.array([[0.0, 1.0]]), packets, None, None)
        return Evidence(*[None] * 13)._replace(
            drives=drives, measurement_jacobian=reading, transition=np.tile(np.eye(4), (1, 2, 1, 1))
        )

    # Standard deviations 5, 5, 2, 2: in their units the sum of the x's is seen, not the rest.
    f = check_observable(linear, seen([[1 / 5, 0, 1 / 2, 0], [0, 1, 0, 1]]))
    assert "2 directions are not observable in 1 s" in f.what
    f = check_observable(linear, seen([[1, 0, 0, 0], [0, 0.001, 0, 0]]))
    assert "3 directions" in f.what
    both = seen(np.zeros((2, 4)))
    both.measurement_jacobian[0, 0] = [[1, 0, 0, 0], [0, 1, 0, 0]]
    both.measurement_jacobian[0, 1] = [[0, 0, 1, 0], [0, 0, 0, 0.2]]
    f = check_observable(linear, both)
    assert f.what.startswith("one direction is weakly observable in 1 s: velocity_1 (1.00)")
    both.measurement_jacobian[0, 1, 1, 3] = 1.0
    assert check_observable(linear, both).level == "ok"


def test_a_first_belief_that_boasts(linear):
    seen = _sound(linear)
    f = check_initial_belief(
        linear, seen._replace(initial_error=seen.initial_error * np.array([1, 1, 3, 3]))
    )
    assert (f.level, f.cure) == ("error", "raise initial_std of velocity")
    f = check_initial_belief(
        linear, seen._replace(initial_error=seen.initial_error * np.array([0.2, 0.2, 1, 1]))
    )
    assert (f.level, f.cure) == ("warning", "lower initial_std of position")
    assert check_initial_belief(linear, seen).level == "ok"


def test_a_teacher_that_boasts_names_its_block(rover):
    seen = _sound(rover)
    f = check_teacher(rover, seen._replace(error=seen.error * np.array([1, 1, 4])))
    assert f.level == "error"
    assert "overconfident" in f.what
    assert f.cure.endswith("for heading")
    f = check_teacher(rover, seen._replace(error=seen.error * 0.3))
    assert f.level == "warning"
    assert "conservative" in f.what
    # Outliers are the robot's, not a mistake in its description.
    wild = with_sensor(rover, 1, outlier=0.02)
    f = check_teacher(wild, seen._replace(error=seen.error * np.array([4, 4, 1])))
    assert f.level == "warning"
    assert "position" in f.cure


def test_innovations_that_are_larger_than_expected(rover):
    seen = _sound(rover)
    run = seen.run._replace(innovation=seen.run.innovation * np.array([1, 2, 2]))
    f = found(check_consistency(rover, seen._replace(run=run)), "innovations of gps")
    assert f.level == "warning"
    assert "larger than expected" in f.what
    packets = seen.drives.packets
    never = seen.drives._replace(packets=packets._replace(seen=packets.seen & [True, False]))
    f = found(check_consistency(rover, seen._replace(drives=never)), "innovations of gps")
    assert f.what == "no readings"


def test_a_teacher_that_is_lost_says_when(rover):
    seen = _sound(rover)
    mean = seen.run.mean.copy()
    mean[3, 40:] = np.nan
    f = found(check_consistency(rover, seen._replace(run=seen.run._replace(mean=mean))), "teacher")
    assert f.level == "error"
    assert "not finite in 1 of 16 drives, first 4 s after" in f.what


@pytest.mark.slow
def test_too_little_process_noise_names_its_block(rover):
    def less(x, u, dt):
        return rover.process_noise(x, u, dt).at[2, 2].multiply(0.01)

    findings = check_scenario(replace(rover, process_noise=less))
    f = next(f for f in findings if f.name == "process noise")
    assert f.level == "error"
    # Ten times, as it was planted; 48 000 draws know that to a percent.
    assert "one tick of heading differs by 9.97 times" in f.what
    assert "position" not in f.what
    f = next(f for f in findings if f.name == "teacher")
    assert f.level != "ok"
    assert "overconfident" in f.what
    assert "heading" in f.cure


def test_process_noise_of_the_wrong_size(linear):
    seen = _sound(linear)
    noise = seen.noise * np.array([1, 1, 0.01, 0.01])
    f = check_process_noise(linear, seen._replace(noise=noise))
    assert f.level == "error"
    assert f.what.startswith("one tick of velocity differs by 10 times")
    assert "position" not in f.what
    f = check_process_noise(linear, seen._replace(noise=seen.noise * np.array([1, 1, 100, 100])))
    assert f.level == "warning"
    assert f.what == "one tick of velocity differs by 0.1 times what is claimed"
    # None at all is only wrong where the world differs by what the filter would notice.
    nothing = seen.noise * np.array([1, 1, 0, 0])
    exact = seen.residual * np.array([1, 1, 1e-6, 1e-6])
    assert check_process_noise(linear, seen._replace(noise=nothing, residual=exact)).level == "ok"
    f = check_process_noise(linear, seen._replace(noise=nothing))
    assert f.what == "velocity changes at each tick, but process_noise is 0"
    # Its white acceleration, 0.5 m/s^2/sqrt(Hz).
    assert f.cure == "give velocity a variance of 0.25 a second"


def test_a_difference_that_is_not_white(linear):
    seen = _sound(linear)
    # A wind of 1.3 m/s that no model knows, beside noise as large in one tick.
    noise = seen.noise + np.array([0.3, 0.3, 0, 0]) ** 2 * 0.1
    residual = seen.residual + np.array([0.13, 0, 0, 0])
    f = check_process_noise(linear, seen._replace(noise=noise, residual=residual))
    assert f.level == "warning"
    assert f.what.startswith("position drifts")


def test_the_band_follows_the_spread_between_drives():
    rng = np.random.default_rng(0)
    white = rng.chisquare(3, (16, 100))
    alike = np.repeat(rng.chisquare(3, (16, 1)), 100, axis=1)
    narrow, wide = consistency_test(white, 3), consistency_test(alike, 3)
    assert narrow.low < narrow.mean < narrow.high < 1.5
    assert wide.low < wide.mean < wide.high
    assert wide.high > 1.8
    assert consistency_test(3 * white, 3).mean > consistency_test(3 * white, 3).high
