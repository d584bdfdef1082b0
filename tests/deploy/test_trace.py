"""A traced program equals jax's compiled step, and names what cannot be exported."""

from functools import partial
from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import one
from jax import lax

from kalmanrnn.core.config import StudentConfig
from kalmanrnn.core.errors import UserError
from kalmanrnn.data.local_frame import localise
from kalmanrnn.deploy.ir.builder import Builder
from kalmanrnn.deploy.ir.program import check
from kalmanrnn.deploy.ir.tracing import trace
from kalmanrnn.deploy.machine.cost import estimate_flops
from kalmanrnn.deploy.machine.machine import trace_estimator
from kalmanrnn.deploy.runtime import prepare, run_program
from kalmanrnn.filters.kinds import FILTERS
from kalmanrnn.models.student import blank_normaliser, estimator, make_student
from kalmanrnn.scenarios.scenario import load_scenario

KINDS = ("gain", "residual", "delta", "feedback", "direct", "ekf", "ukf")
EVENTS = 25


def student_of(sim, **settings):
    """A student that answers: its last layer is no longer zero, its scales are not one."""
    config = StudentConfig(**{"hidden": 8, "layers": 2, "head": 8} | settings)
    student, params = make_student(sim, config, seed=0)
    keys = iter(jax.random.split(jax.random.key(1), 100))
    params = jax.tree.map(lambda a: a + 0.02 * jax.random.normal(next(keys), a.shape), params)
    norm = blank_normaliser(student)
    scale = 0.3 * np.asarray(sim.initial_std, np.float32)
    sigma = jnp.asarray(3 * sim.sigma, jnp.float32)
    norm = norm._replace(output_std=jnp.asarray(scale), innovation_std=sigma)
    return student, params, norm


def pair_of(sim, kind, **settings):
    """A machine, and a maker of the jax estimator it was traced from, in one precision or other."""
    if kind in FILTERS:
        return trace_estimator(kind, sim), lambda dtype: FILTERS[kind](sim)
    student, params, norm = student_of(sim, student=kind, **settings)

    def make(dtype):
        cast = partial(jax.tree.map, lambda a: jnp.asarray(np.asarray(a, dtype)))
        return estimator(student, cast(params), cast(norm))

    return trace_estimator(student, sim, params=params, norm=norm), make


def in_jax(made, dtype, filtering):
    """(carry, packet) -> the outputs of a step program, compiled."""
    made = made(dtype)

    def say(carry, packet):
        carry, estimate = made.step(carry, packet)
        return carry, [estimate.mean, *([estimate.cov] if filtering else [])]

    return made, jax.jit(say)


def arrays_of(*trees):
    """Leaves that have numbers, as ports have them."""
    return [np.asarray(a) for a in jax.tree.leaves(trees) if np.size(a)]


def recorded(sim, drives, made, kind):
    """Each event's inputs and outputs of the float32 step, on a drive."""
    drive = one(localise(sim, drives(sim.name, count=8, seconds=12.0)))
    est, step = in_jax(made, np.float32, kind in FILTERS)
    carry, rows = est.init(drive.belief), []
    for i in range(min(EVENTS, len(drive.t))):
        packet = jax.tree.map(lambda a, i=i: a[i], drive.packets)
        after, estimate = step(carry, packet)
        rows.append((carry, packet, arrays_of(after, estimate)))
        carry = after
    return drive, rows


def scale_of(stack):
    """The size of each number over the events; of a covariance, its standard deviations."""
    if stack.ndim == 3 and stack.shape[1] == stack.shape[2]:
        std = np.sqrt(np.abs(np.einsum("eii->ei", stack))).max(axis=0)
        return np.outer(std, std)
    return np.maximum(np.abs(stack).max(axis=0), 1e-30)


def apart(ours, theirs, scale):
    return [
        float(np.max(np.abs(np.stack(o) - np.stack(t)) / s))
        for o, t, s in zip(zip(*ours, strict=True), zip(*theirs, strict=True), scale, strict=True)
    ]


def in_float64(made, rows, kind):
    with jax.enable_x64(True):
        _, step = in_jax(made, np.float64, kind in FILTERS)
        cast = partial(
            jax.tree.map,
            lambda a: jnp.asarray(np.asarray(a, None if np.asarray(a).dtype == bool else float)),
        )
        return [arrays_of(step(cast(carry), cast(packet))) for carry, packet, _ in rows]


# Every kind on the rover; on the other robots those whose programs differ most.
QUICK = (("linear", "gain"), ("linear", "ukf"), ("imu_gps", "gain"))
CASES = [("rover", kind) for kind in KINDS] + [
    pytest.param(*case, marks=[] if case in QUICK else [pytest.mark.slow])
    for case in product(("linear", "imu_gps"), KINDS)
]


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_a_program_is_the_jitted_step(scenario, drives, name, kind):
    """Teacher-forced. 2e-6: some 20 roundings; where float32 itself is worse, four times that.

    Sums are grouped otherwise here, so no two float32 programs agree to the bit.
    """
    sim = scenario(name)
    machine, made = pair_of(sim, kind)
    check(machine.step)
    check(machine.init)
    drive, rows = recorded(sim, drives, made, kind)
    first = run_program(machine.init, {"mean": drive.belief.mean, "cov": drive.belief.cov})
    for ours, theirs in zip(first.values(), arrays_of(rows[0][0]), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    run = prepare(machine.step)
    with np.errstate(all="ignore"):
        ours = [run(arrays_of(carry, packet), None) for carry, packet, _ in rows]
    theirs = [row[-1] for row in rows]
    scale = [scale_of(np.stack(a)) for a in zip(*theirs, strict=True)]
    errors = apart(ours, theirs, scale)
    limits = [2e-6] * len(errors)
    if max(errors) > 2e-6:
        own = apart(theirs, in_float64(made, rows, kind), scale)
        limits = [max(2e-6, 4 * e) for e in own]
        assert max(own) < 1e-4
    names = [port.name for port in machine.step.outputs]
    assert all(e <= limit for e, limit in zip(errors, limits, strict=True)), list(
        zip(names, errors, limits, strict=True)
    )
    # The same step with another innovation says something else.
    moved = rows[-1][1]._replace(z=rows[-1][1].z + 1)
    with np.errstate(all="ignore"):
        other = run(arrays_of(rows[-1][0], moved), None)
    assert any(not np.allclose(a, b) for a, b in zip(other, ours[-1], strict=True))


@pytest.mark.parametrize("name", ["lorenz", "radar_lidar", "wifibot"])
def test_every_other_shipped_scenario_traces(scenario, name):
    for kind in ("gain", "direct", "ekf", "ukf"):
        machine, _ = pair_of(scenario(name), kind)
        check(machine.step)
        assert [p.name for p in machine.step.outputs[: len(machine.spec["carry"])]] == [
            p.name for p in machine.init.outputs
        ]


@pytest.mark.parametrize("settings", [{"cell": "gru"}, {"cell": "elman"}, {"every": "tick"}])
def test_other_cells_and_rates(scenario, drives, settings):
    sim = scenario("rover")
    machine, made = pair_of(sim, "gain", **settings)
    if settings.get("every") == "tick":
        assert machine.spec["max_ticks"] == 1
        return
    _, rows = recorded(sim, drives, made, "gain")
    for carry, packet, want in rows[:3]:
        got = prepare(machine.step)(arrays_of(carry, packet), None)
        for ours, theirs in zip(got, want, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=2e-6, atol=2e-6 * np.abs(theirs).max())


def test_a_machine_says_what_it_is(scenario):
    sim = scenario("imu_gps")
    machine, _ = pair_of(sim, "gain")
    names = [port.name for port in machine.step.inputs]
    assert names[-4:] == ["z", "seen", "u", "dt"]
    memory = [f"memory_{layer}_{part}" for layer in (0, 1) for part in "hc"]
    assert names[:-4] == ["x", *memory, "output", "u_mean", "interval", "since"]
    weights = set(machine.step.weights.values())
    assert {"layers.0.x_map.kernel", "layers.1.h_map.kernel", "out_map.bias"} <= weights
    assert "norm.output_std" in weights
    (loop,) = [op.attrs for op in machine.step.ops if op.kind == "loop"]
    assert (loop["length"], loop["counted"]) == (20, True)
    ukf = trace_estimator("ukf", sim)
    ports = [port.name for port in ukf.step.outputs]
    assert ports == ["state_mean", "state_cov", "mean", "cov"]
    assert estimate_flops(ukf.step) > 10 * estimate_flops(machine.step)
    # What stays of a seed is where the numbers came from: another weight, another digest.
    student, params, norm = student_of(sim)
    other = trace_estimator(student, sim, params=jax.tree.map(lambda a: a + 1, params), norm=norm)
    assert other.spec["weights"]["sha256"] != machine.spec["weights"]["sha256"]


def test_inputs_without_numbers_are_no_ports(scenario):
    machine, _ = pair_of(scenario("linear"), "gain")
    assert {p.name for p in machine.step.inputs} & {"u", "u_mean"} == set()
    assert all(value.size for value in machine.step.values.values())


def test_a_known_tick_stays_a_loop_of_one(scenario):
    machine = trace_estimator("ekf", scenario("rover"), max_ticks=1)
    assert [op.attrs["length"] for op in machine.step.ops if op.kind == "loop"] == [1]


def test_padding_after_the_last_tick_changes_nothing(scenario):
    """A counted loop may stop early: what is left is dt = 0."""
    sim = scenario("imu_gps")
    machine = trace_estimator("ekf", sim)
    rng = np.random.default_rng(0)
    x = sim.space.identity().astype(np.float32)
    u = np.zeros((20, 6), np.float32)
    u[:7] = rng.normal(size=(7, 6))
    dt = np.where(np.arange(20) < 7, 0.01, 0).astype(np.float32)
    given = {"state_mean": x, "state_cov": np.eye(15, dtype=np.float32), "u": u, "dt": dt}
    given |= {"z": np.ones(3, np.float32), "seen": np.array([True])}
    whole = run_program(machine.step, given)
    early = run_program(machine.step, given, n_ticks=7)
    less = run_program(machine.step, given, n_ticks=6)
    np.testing.assert_array_equal(whole["state_cov"], early["state_cov"])
    assert not np.array_equal(whole["state_cov"], less["state_cov"])


@pytest.mark.parametrize(
    ("name", "kind"), [("rover", "ukf"), ("imu_gps", "gain"), ("linear", "ekf")]
)
def test_folding_changes_no_result(scenario, name, kind):
    """Not to the bit: numpy's loops round otherwise for one number than for many."""
    sim = scenario(name)
    if kind in FILTERS:
        folded, plain = (trace_estimator(kind, sim, fold=fold) for fold in (True, False))
    else:
        student, params, norm = student_of(sim, student=kind)
        folded, plain = (
            trace_estimator(student, sim, params=params, norm=norm, fold=fold)
            for fold in (True, False)
        )
    check(plain.step)
    assert len(plain.step.ops) > 1.2 * len(folded.step.ops)
    rng = np.random.default_rng(2)
    given = {}
    for port in folded.step.inputs:
        value = folded.step.values[port.value]
        given[port.name] = 0.3 * rng.normal(size=value.shape).astype(np.float32)
    given["seen"] = np.ones(len(sim.sensors), bool)
    given["dt"] = np.abs(given["dt"])
    if kind in FILTERS:
        given["state_cov"] = given["state_cov"] @ given["state_cov"].T + np.eye(
            sim.space.tangent_dim, dtype=np.float32
        )
    ours, theirs = run_program(folded.step, given), run_program(plain.step, given)
    for key, value in ours.items():
        limit = 4e-6 * max(np.abs(theirs[key]).max(), 1)
        np.testing.assert_allclose(value, theirs[key], rtol=0, atol=limit)


def spin(x):
    return lax.fori_loop(0, 5, lambda i, y: jnp.roll(y, 1) * 1.1 + i, x)


def backwards(x):
    total, each = lax.scan(lambda c, a: (c + a, c * a), x[0], x, reverse=True)
    return jnp.append(each, total)


TABLE = np.array([3.0, -1.0, 2.0, 7.0, 0.5])
SPD = np.array([[4.0, 1.0, 0.5], [1.0, 3.0, 0.2], [0.5, 0.2, 2.0]])
FUNCTIONS = {
    "where": lambda x: jnp.where(x > 0, x, -2 * x),
    "norm": lambda x: x / jnp.linalg.norm(x),
    "cross": lambda x: jnp.cross(x[:3], x[3:]),
    "arctan2": lambda x: jnp.arctan2(x[:3], x[3:]),
    "mod": lambda x: jnp.mod(3 * x + jnp.pi, 2 * jnp.pi) - jnp.pi,
    "at_set": lambda x: jnp.zeros((3, 4)).at[1:, 2].set(x[:2]).at[0].set(x[2]),
    "at_add": lambda x: x.at[jnp.array([0, 2, 2, 5, 2])].add(TABLE.astype(x.dtype)),
    "at_mul_max": lambda x: x.at[1].multiply(3.0).at[jnp.array([2, 2])].max(x[:2]).at[4].min(-1.0),
    "take": lambda x: x[jnp.array([5, 0, -1, 2])] + jnp.take(x, jnp.array([0, 9]), fill_value=7)[0],
    "fill": lambda x: x.at[jnp.array([1, 17])].get(mode="fill", fill_value=4.0),
    "drop": lambda x: x.at[jnp.array([1, 17])].set(9.0, mode="drop"),
    "cond": lambda x: lax.cond(x[0] > x[1], lambda y: y * 2, lambda y: y - 1, x),
    "switch": lambda x: lax.switch(jnp.argmax(x), [lambda y: y, lambda y: 2 * y, lambda y: -y], x),
    "arg": lambda x: jnp.stack([jnp.argmax(x), jnp.argmin(x)]).astype(x.dtype),
    "reduce": lambda x: jnp.stack([x.sum(), x.max(), x.min(), x.prod(), x.mean(), x.var()]),
    "axes": lambda x: x.reshape(1, 2, 3, 1).sum(axis=(0, 2)) * (x > 0).any() + (x < 9).all(),
    "cumulate": lambda x: jnp.stack([jnp.cumsum(x), jnp.cumprod(x), lax.cummax(x, reverse=True)]),
    "powers": lambda x: x**3 + x**-2 + jnp.abs(x) ** 0.3 + jnp.square(x) + x**0,
    "exp2": lambda x: jnp.exp2(x) + jnp.cbrt(x) + jnp.log1p(jnp.abs(x)) + jnp.expm1(x),
    "hyperbolic": lambda x: jnp.sinh(x) + jnp.cosh(x) + jnp.tanh(x) + jnp.arcsinh(x),
    "inverse": lambda x: jnp.arccosh(1 + x**2) + jnp.arctanh(jnp.tanh(x)) + jnp.arcsin(jnp.sin(x)),
    "round": lambda x: jnp.round(4 * x) + jnp.floor(x) + jnp.ceil(x) + jnp.sign(x) + jnp.trunc(x),
    "away": lambda x: lax.round(4 * x, lax.RoundingMethod.AWAY_FROM_ZERO),
    "clip": lambda x: jnp.clip(x, -0.5, 0.5) + jnp.nan_to_num(x) + jnp.hypot(x, 1.0),
    "logic": lambda x: (((x > 0) ^ (x < 1)) & ~jnp.isnan(x) | jnp.isfinite(x)).astype(x.dtype),
    "einsum": lambda x: jnp.einsum(
        "ij,kj,k->i", x.reshape(2, 3), TABLE[:3] * x.reshape(2, 3), x[:2]
    ),
    "batched": lambda x: jax.vmap(lambda a, b: a @ b)(
        x.reshape(2, 3, 1) * x[:4], jnp.ones((2, 4, 2)) * x[:2]
    ),
    "cho_solve": lambda x: jax.scipy.linalg.cho_solve((jnp.linalg.cholesky(SPD), True), x[:3]),
    "cho_batch": lambda x: jnp.linalg.cholesky(SPD + jnp.eye(3) * (x**2)[:, None, None]),
    "right_side": lambda x: lax.linalg.triangular_solve(
        SPD + 0 * x[0], x.reshape(2, 3), left_side=False, lower=True, transpose_a=True
    ),
    "unit": lambda x: jax.scipy.linalg.solve_triangular(
        SPD * x[0], x[:3], trans=1, lower=False, unit_diagonal=True
    ),
    "pad": lambda x: lax.pad(x, x[0], [(2, -1, 1)]),
    "jacobian": lambda x: jax.jacfwd(lambda y: jnp.sin(y) * y[::-1])(x),
    "gradient": lambda x: jax.grad(lambda y: jnp.sum(jnp.where(y > 0, y, 0.1 * y) ** 2))(x),
    "fori": spin,
    "reverse": backwards,
    "moves": lambda x: jnp.flip(jnp.tile(jnp.repeat(x.reshape(2, 3).T, 2, axis=0), (1, 2)), 1),
    "whole": lambda x: ((x * 10).astype(jnp.int32) // 3 + (x * 10).astype(jnp.int32) % 4) * 1.0,
    "dynamic": lambda x: lax.dynamic_update_slice(x, lax.dynamic_slice(x, (1,), (2,)), (9,)),
    "looked_up": lambda x: (
        jnp.asarray(TABLE)[jnp.argmax(x)]
        + jnp.stack([jnp.asarray(TABLE)[(9 * x[i]).astype(int)] for i in range(6)])
    ),
    "window": lambda x: lax.dynamic_slice(
        jnp.outer(x, x), (jnp.argmin(x), (4 * x[3]).astype(int)), (2, 3)
    ),
    "ix": lambda x: jnp.outer(x, x)[np.ix_([0, 2], [1, 5])] + jnp.diag(x)[2:4, 2:4],
    "remat": lambda x: jax.checkpoint(lambda y: jnp.sin(y) @ y)(x),
    "interp": lambda x: jnp.polyval(TABLE.astype(x.dtype), x),
    "barrier": lambda x: lax.stop_gradient(lax.optimization_barrier(x)) * np.float64(1.1),
}


@pytest.mark.parametrize("fold", [True, False])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_scenarios_are_written_with(name, fold):
    """2e-6 of the largest number: float32 in another order."""
    x = np.array([0.7, -1.3, 0.25, 1.9, -0.4, 0.05], np.float32)
    program = trace(FUNCTIONS[name], name, {"x": x}, ["y"], fold=fold)
    check(program)
    want = np.asarray(jax.jit(FUNCTIONS[name])(x))
    got = run_program(program, {"x": x})["y"]
    assert got.dtype == want.dtype
    np.testing.assert_allclose(got, want, rtol=0, atol=2e-6 * max(np.abs(want).max(), 1))


def test_what_is_known_is_computed_beforehand():
    def f(x):
        eye = jnp.eye(4).at[1, 2].set(3.0)
        q = jnp.linalg.cholesky(eye @ eye.T + 5 * jnp.eye(4))
        return q @ x + jnp.sum(jnp.sin(TABLE))

    program = trace(f, "f", {"x": np.ones(4, np.float32)}, ["y"])
    assert sorted(op.kind for op in program.ops if op.kind != "take") == ["add", "matmul"]


def test_equal_work_is_done_once_and_useless_work_never():
    def f(x):
        waste = jnp.exp(x) @ x  # noqa: F841
        return jnp.sin(x) + jnp.sin(x), jnp.sin(x)[::-1][::-1], x

    program = trace(f, "f", {"x": np.ones(4, np.float32)}, ["a", "b", "x"])
    assert [op.kind for op in program.ops] == ["sin", "add"]
    assert program.outputs[1].value == program.ops[0].outputs[0]
    assert program.outputs[2].value == program.inputs[0].value


def test_one_number_is_spread_out_only_at_the_end():
    program = trace(lambda x: jnp.ones((5, 7)) * (x * 2.0 + 1.0), "f", {"x": np.float32(1)}, ["y"])
    shapes = [program.values[op.outputs[0]].shape for op in program.ops]
    assert shapes == [(), (), (5, 7)]


def test_signed_zeros_and_nan_survive_being_picked():
    b = Builder()
    x = b.new((1,), "f32")
    values = np.array([0.0, -0.0, np.nan, 0.0], np.float32)
    y = b.take([b.const(values, "f32"), x], [1, 2, 0, 3, 4])
    (op,) = [op for op in b.ops if y in op.outputs]
    flat = np.concatenate([b.known.get(i, np.ones(1, np.float32)) for i in op.inputs])
    assert (
        flat[op.attrs["index"]].tobytes() == np.array([-0.0, np.nan, 0, 0, 1], np.float32).tobytes()
    )


USER = """
import jax
import jax.numpy as jnp
from kalmanrnn.core.state_space import Block, StateSpace
from kalmanrnn.scenarios.scenario import Scenario
from kalmanrnn.scenarios.sensors import Channel, Sensor

def measure(x):
    return {line}

SCENARIO = Scenario(
    name="own", summary="own", space=StateSpace((Block("position"),)), inputs=(),
    sensors=(Sensor("beacon", (Channel("range", "m"),), 5.0, (1.0,), measure),), tick_hz=10.0,
    process=lambda x, u, dt: x * (1 - 0.1 * dt),
    process_noise=lambda x, u, dt: jnp.full(3, 0.1) * dt,
    simulate_truth=lambda key, ticks: (jnp.zeros((ticks + 1, 3)), jnp.zeros((ticks, 0))),
    initial_std=(1.0, 1.0, 1.0),
)
"""


def own(tmp_path, line):
    path = tmp_path / "own_sim.py"
    path.write_text(USER.format(line=line))
    return load_scenario(path)


@pytest.mark.parametrize(
    ("line", "primitive", "cure"),
    [
        ("jnp.sort(x)[:1]", "sort", "jnp.minimum"),
        ("jnp.linalg.solve(jnp.eye(3) * (2 + x[0]), x)[:1]", "lu", "cho_solve"),
        ("x[(x > 0).astype(int)][:1]", "gather", "jnp.where"),
        ("jax.scipy.special.gammaln(x)[:1]", "lgamma", "jax.numpy"),
        ("jax.lax.while_loop(lambda y: y[0] > 1, lambda y: y / 2, x)[:1]", "while", "fori_loop"),
    ],
)
def test_an_unknown_primitive_names_itself_and_its_line(tmp_path, line, primitive, cure):
    with pytest.raises(UserError) as caught:
        trace_estimator("ukf", own(tmp_path, line))
    assert caught.value.what.split()[0] in primitive.split("|")
    # Line 9 of the file is the user's own.
    assert "own_sim.py:9 (measure)" in caught.value.why
    assert cure in caught.value.cure


def test_a_type_that_robots_lack_is_refused():
    with pytest.raises(UserError, match="float16"):
        trace(lambda x: x.astype(jnp.float16).sum(), "f", {"x": np.ones(3, np.float32)}, ["y"])


def test_a_constant_of_a_type_that_robots_lack_is_refused_too():
    words = jnp.arange(6, dtype=jnp.uint32).reshape(2, 3)
    with pytest.raises(UserError, match="the step cannot be exported"):
        trace(lambda x: x * words[:, 0].sum(), "step", {"x": np.ones(3, np.float32)}, ["y"])


def test_float64_before_leaves_no_trace(scenario):
    """What was traced in float64 before does not reach a program."""
    sim = scenario("rover")
    with jax.enable_x64(True):
        jax.make_jaxpr(sim.process)(jnp.zeros(3), jnp.zeros(4), 0.1)
        machine = trace_estimator("ekf", sim)
    assert {v.dtype for v in machine.step.values.values()} <= {"f32", "i32", "bool"}
    again = trace_estimator("ekf", sim)
    assert [op.kind for op in machine.step.ops] == [op.kind for op in again.step.ops]
    for number, array in machine.step.constants.items():
        np.testing.assert_array_equal(array, again.step.constants[number])
