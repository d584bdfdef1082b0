"""Cases to prove generated C with: a machine, and JAX's outputs event by event."""

import subprocess
from typing import Any, NamedTuple

import jax
import numpy as np
from helpers import one

from kalmanrnn.core.config import StudentConfig
from kalmanrnn.core.datatypes import Belief, Packet
from kalmanrnn.deploy.c import compiled, source_files
from kalmanrnn.deploy.c.selftest import record_selftest
from kalmanrnn.deploy.c.sizes import identifier, with_target
from kalmanrnn.deploy.int8.quantise import quantise_weights, with_scales
from kalmanrnn.deploy.machine.machine import trace_estimator
from kalmanrnn.deploy.options import PORTABLE
from kalmanrnn.filters.kinds import FILTERS
from kalmanrnn.models.student import blank_normaliser, estimator, make_student
from kalmanrnn.scenarios.simulation import simulate_batch

OK, NULL, TICKS, NOT_FINITE, TIME, DIVERGED, FAILED = range(7)
EVENTS = 24
# Units of each output's largest number in the record; below this an output counts as this large.
LEAST_SCALE = 1e-3


class Case(NamedTuple):
    """A machine, what it was traced from, one drive, and JAX's outputs at each event."""

    machine: Any
    estimator: Any
    drive: Any
    steps: list


class Step(NamedTuple):
    """One event as JAX took it in float32. error: how far that is from float64, by output."""

    carry: dict
    packet: Packet
    after: dict
    error: dict


def compile_and_load(machine, folder, recorded=None, options=("-O2",)):
    """Write a machine's C into a folder, compile it strictly and load it."""
    source_files.write_sources(machine, folder, recorded)
    library = compiled.compile_folder(folder, identifier(machine.name), options)
    return compiled.load_library(machine, library)


def case_of(sim, kind, *, target=PORTABLE, weights="float32", **more):
    """A student is random, but answers: its last layer is not zero. more: of `StudentConfig`."""
    drives = jax.tree.map(np.asarray, simulate_batch(sim, jax.random.key(0), 2, 6.0))
    if kind in FILTERS:
        # Two of them: jax keeps a filter's constants across its two precisions.
        single, wide = FILTERS[kind](sim), FILTERS[kind](sim)
        machine = trace_estimator(kind, sim)
    else:
        student, params, norm = student_of(sim, kind, **more)
        scales = {}
        if weights == "int8":
            params, scales = quantise_weights(params, {})
        single = estimator(student, params, norm)
        with jax.enable_x64(True):
            wide = estimator(student, *as_type((params, norm), np.float64))
        machine = trace_estimator(student, sim, params=params, norm=norm)
        machine = with_scales(machine, scales) if scales else machine
    machine = with_target(machine, target)
    drive = one(drives)
    return Case(machine, single, drive, steps_of(machine, single, wide, drive))


def student_of(sim, kind, **more):
    config = StudentConfig(**{"student": kind, "hidden": 8, "layers": 1, "head": 8} | more)
    student, params = make_student(sim, config, seed=0)
    keys = iter(jax.random.split(jax.random.key(1), 100))
    params = jax.tree.map(lambda a: a + 0.1 * jax.random.normal(next(keys), a.shape), params)
    norm = blank_normaliser(student)
    rng = np.random.default_rng(0)
    norm = norm._replace(
        output_std=jax.numpy.asarray(0.3 * np.asarray(sim.initial_std), np.float32),
        innovation_std=jax.numpy.asarray(3 * sim.sigma, np.float32),
        feature_std=jax.numpy.asarray(rng.uniform(0.5, 3, norm.feature_std.size), np.float32),
        feature_mean=jax.numpy.asarray(rng.normal(size=norm.feature_std.size), np.float32),
    )
    return student, params, norm


def as_type(tree, dtype):
    def cast(a):
        a = np.asarray(a)
        return jax.numpy.asarray(a, dtype) if a.dtype.kind == "f" else a

    return jax.tree.map(cast, tree)


def steps_of(machine, single, wide, drive):
    names = [port.name for port in machine.init.outputs]

    def outputs(carry, estimate):
        leaves = [leaf for leaf in jax.tree.leaves(carry) if np.size(leaf)]
        found = dict(zip(names, leaves, strict=True)) | {"mean": estimate.mean}
        if estimate.cov is not None:
            found["cov"] = estimate.cov
        return {key: np.asarray(value, np.float64) for key, value in found.items()}

    belief = as_type(drive.belief, np.float32)
    steps, carry, narrow = [], single.init(Belief(*belief)), jax.jit(single.step)
    with jax.enable_x64(True):
        broad = jax.jit(wide.step)
    for e in range(EVENTS):
        packet = Packet(*as_type(jax.tree.map(lambda a, e=e: a[e], drive.packets), np.float32))
        after, estimate = narrow(carry, packet)
        with jax.enable_x64(True):
            exact = outputs(*broad(as_type(carry, np.float64), as_type(packet, np.float64)))
        leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(carry) if np.size(leaf)]
        got = outputs(after, estimate)
        error = {key: np.abs(got[key] - exact[key]) for key in got}
        steps.append(Step(dict(zip(names, leaves, strict=True)), packet, got, error))
        carry = after
    return steps


def scales(steps):
    return {
        key: max(np.abs([step.after[key] for step in steps]).max(), LEAST_SCALE)
        for key in steps[0].after
    }


def differences(built, steps):
    """Teacher-forced: the largest difference of each output in its scale, over its limit."""
    scale = scales(steps)
    worst = dict.fromkeys(scale, 0.0)
    limit = {
        key: max(2e-6, 4 * max(step.error[key].max() for step in steps) / scale[key])
        for key in scale
    }
    for step in steps:
        state = compiled.pack_state(built, step.carry)
        status, found = compiled.step(built, state, *step.packet)
        if status != OK:
            return {"status": np.inf}
        found |= compiled.unpack_state(built, state)
        for key, value in step.after.items():
            far = np.abs(found[key].reshape(value.shape) - value).max() / scale[key]
            worst[key] = max(worst[key], far if np.isfinite(far) else np.inf)
    return {key: worst[key] / limit[key] for key in worst}


SANITISED = """
#include <string.h>
#include <stdlib.h>
#include "NAME.h"
int main(void)
{
    NAME_state a;
    NAME_output output;
    unsigned char seen[UP_SENSORS] = {1};
    float mean[UP_X] = {IDENTITY};
    /* At an odd address, and exactly as long as needed. */
    char *z = malloc(1 + sizeof(float) * UP_Z), *dt = malloc(1 + sizeof(float) * 2);
    char *u = malloc(1 + sizeof(float) * 2 * (UP_U + 1));
    memset(z, 0, 1 + sizeof(float) * UP_Z);
    memset(dt, 0, 1 + sizeof(float) * 2);
    memset(u, 0, 1 + sizeof(float) * 2 * (UP_U + 1));
    if (NAME_init(&a, mean, NULL)) return 20;
    void *odd_z = z + 1, *odd_u = u + 1, *odd_dt = dt + 1;
    if (NAME_step(&a, odd_z, seen, odd_u, odd_dt, 2, &output)) return 21;
    free(z); free(dt); free(u);
    return NAME_selftest();
}
"""


def sanitised(found, folder):
    """Compile a case with sanitisers and run it over odd addresses and its self-test.

    Returns "" for a clean run, the reason where there are no sanitisers.
    """
    source_files.write_sources(found.machine, folder, record_selftest(found.estimator, found.drive))
    label = found.machine.name
    text = SANITISED.replace("NAME", label).replace("UP_", f"{label.upper()}_")
    identity = ", ".join(f"{value}f" for value in found.machine.spec["identity"])
    (folder / "main.c").write_text(text.replace("IDENTITY", identity))
    sources = [str(path) for path in folder.glob("*.c")]
    flags = ["-std=c99", "-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    command = [compiled.find_compiler(), *flags, *sources, "-o", str(folder / "run"), "-lm"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "cannot find" in done.stderr:
        return "this compiler has no sanitisers"
    assert done.returncode == 0, done.stderr
    ran = subprocess.run([folder / "run"], capture_output=True, text=True, check=False)
    assert ran.returncode == OK, ran.stderr
    return ""
