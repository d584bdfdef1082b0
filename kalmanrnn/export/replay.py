"""Replay events through an export's C, compiled here, and time them: no Python in between."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kalmanrnn.errors import MISSING, UserError
from kalmanrnn.export import c_run
from kalmanrnn.export.c99_header import identifier, sizes_of
from kalmanrnn.export.machine import Machine
from kalmanrnn.export.vectors import Vectors
from kalmanrnn.types import Drive

OPTIONS = ("-O3", "-march=native")
# Short enough that few are interrupted on a busy machine.
STRETCH = 16


class Events(NamedTuple):
    """Events to replay, N of them, as the C takes them: float32, C order.

    z: `[N, Z]`, seen: `[N, S]`, u: `[N, K, U]`, dt: `[N, K]` [s]. ticks: `[N]` how many of K are
    real. starts: `[N]` where a drive begins. mean `[n, X]`, cov `[n, D, D]`: what it begins with.
    """

    z: np.ndarray
    seen: np.ndarray
    u: np.ndarray
    dt: np.ndarray
    ticks: np.ndarray
    starts: np.ndarray
    mean: np.ndarray
    cov: np.ndarray


def events_of(vectors: Vectors) -> Events:
    """Take what happens, without any carry, out of an export's vectors."""
    given, count = vectors.inputs, len(vectors.starts)
    dt = given.get("dt", np.zeros((count, 0)))
    return _events(
        z=given.get("z", np.zeros((count, 0))),
        seen=given.get("seen", np.zeros((count, 0))),
        u=given.get("u", np.zeros((*dt.shape, 0))),
        dt=dt,
        starts=vectors.starts,
        belief=(vectors.belief_mean, vectors.belief_cov),
    )


def events_of_drives(drives: Drive) -> Events:
    """Put the events of drives `[n, E, ...]` behind one another."""
    count, each = drives.packets.dt.shape[:2]
    starts = np.tile(np.arange(each) == 0, count)
    rows = {k: a.reshape(count * each, *a.shape[2:]) for k, a in drives.packets._asdict().items()}
    return _events(**rows, starts=starts, belief=(drives.belief.mean, drives.belief.cov))


def _events(
    *,
    z: np.ndarray,
    seen: np.ndarray,
    u: np.ndarray,
    dt: np.ndarray,
    starts: np.ndarray,
    belief: tuple[np.ndarray, np.ndarray],
) -> Events:
    real = np.arange(1, dt.shape[1] + 1) * (dt > 0)
    return Events(
        z=z.astype(np.float32),
        seen=seen.astype(np.uint8),
        u=u.astype(np.float32),
        dt=dt.astype(np.float32),
        ticks=real.max(axis=1, initial=0).astype(np.int32),
        starts=starts.astype(np.int32),
        mean=belief[0].astype(np.float32),
        cov=belief[1].astype(np.float32),
    )


def compile_replay(
    machine: Machine, folder: Path, events: Events, options: Sequence[str] = OPTIONS
) -> Path:
    """Compile a folder's C and a replay of so many events; UserError where that fails."""
    name = c_run.identifier(machine.name)
    (folder / "replay.c").write_text(main_text(machine, len(events.z), len(events.mean)))
    objects = []
    for source in (f"{name}.c", f"{name}_weights.c", "replay.c"):
        objects.append(str(folder / source.replace(".c", ".o")))
        command = [c_run.compiler(), "-std=c99", *options, "-c", str(folder / source)]
        run_tool([*command, "-o", objects[-1]], name)
    program = folder / "replay"
    run_tool([c_run.compiler(), *options, "-o", str(program), *objects, "-lm"], name)
    return program


def replay(program: Path, events: Events, seconds: float) -> tuple[np.ndarray, int]:
    """Run a replay for so long; return `[laps, stretches]` nanoseconds, and refused events."""
    data = program.with_name("events.bin")
    data.write_bytes(b"".join(np.ascontiguousarray(a).tobytes() for a in events))
    said = run_tool([str(program), str(data), f"{seconds:g}"], program.parent.name).split()
    refused, stretches, *times = map(int, said)
    return np.array(times, float).reshape(-1, stretches), refused


def run_tool(command: list[str], name: str) -> str:
    """Run a tool on what is called `name` and return what it prints; UserError where it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as problem:
        raise UserError(
            f"cannot run {command[0]}",
            why=str(problem),
            cure="apt install gcc, or name another compiler: CC=clang",
            code=MISSING,
        ) from None
    if done.returncode:
        raise UserError(
            f"{Path(command[0]).name} fails with {name}",
            why=done.stderr.strip()[:400] or f"exit code {done.returncode}",
            cure="report it with the compiler's name and version",
        )
    return done.stdout


def main_text(machine: Machine, events: int, drives: int) -> str:
    """Return a C program `replay EVENTS.bin SECONDS`.

    It prints how many events were refused in a lap, the stretches in a lap, and then each lap's
    nanoseconds by stretch. The first lap warms up and is not printed.
    """
    name, sizes = identifier(machine.name), sizes_of(machine)
    dims = sizes.d * sizes.d
    arrays = [
        ("float", "z", events, sizes.z),
        ("unsigned char", "seen", events, sizes.s),
        ("float", "u", events, sizes.ticks * sizes.u),
        ("float", "dt", events, sizes.ticks),
        ("int", "ticks", events, 1),
        ("int", "starts", events, 1),
        ("float", "mean", drives, sizes.x),
        ("float", "cov", drives, dims),
    ]
    used = [(kind, label, n, each) for kind, label, n, each in arrays if each]
    static = "\n".join(f"static {kind} {label}[{n * each}];" for kind, label, n, each in used)
    reads = " || ".join(f"fread({a}, sizeof {a}, 1, f) != 1" for _, a, _, _ in used)
    u = f"u + {sizes.ticks * sizes.u} * e" if sizes.u else "0"
    return f"""/* Written by kalmanrnn; do not edit. */
#define _POSIX_C_SOURCE 199309L
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "{name}.h"

{static}
static volatile float sink;

static double now(void)
{{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e9 * (double)t.tv_sec + (double)t.tv_nsec;
}}

/* One lap; prints its stretches if told to. Returns how many events were refused. */
static int lap(int tell)
{{
    static {name}_state state;
    static {name}_output output;
    int refused = 0, drive = -1;
    for (int first = 0; first < {events};) {{
        int last = first;
        if (starts[first]) {{
            ++drive;
            refused += {name}_init(&state, mean + {sizes.x} * drive, cov + {dims} * drive) != 0;
        }}
        double begin = now();
        do {{
            const int e = last++;
            refused += {name}_step(&state, z + {sizes.z} * e, seen + {sizes.s} * e, {u},
                dt + {sizes.ticks} * e, ticks[e], &output) != 0;
        }} while (last < {events} && last - first < {STRETCH} && !starts[last]);
        double took = now() - begin;
        sink = output.mean[0];
        if (tell)
            printf("%.0f ", took);
        first = last;
    }}
    return refused;
}}

int main(int argc, char **argv)
{{
    FILE *f = argc == 3 ? fopen(argv[1], "rb") : 0;
    int stretches = 0, from = 0;
    if (!f || {reads})
        return 1;
    for (int e = 0; e < {events}; ++e)
        if (starts[e] || e - from == {STRETCH}) {{
            ++stretches;
            from = e;
        }}
    printf("%d %d\\n", lap(0), stretches);
    double until = now() + 1e9 * atof(argv[2]);
    for (int laps = 0; laps < 3 || now() < until; ++laps) {{
        lap(1);
        printf("\\n");
    }}
    return 0;
}}
"""
