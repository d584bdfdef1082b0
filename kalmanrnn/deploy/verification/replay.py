"""Replay events through an export's C, compiled here, and time them: no Python in between."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kalmanrnn.core.datatypes import Drive
from kalmanrnn.core.errors import MISSING, UserError
from kalmanrnn.deploy.c import compiled
from kalmanrnn.deploy.c.sizes import identifier
from kalmanrnn.deploy.machine.machine import Machine
from kalmanrnn.deploy.verification.replay_source import render_main
from kalmanrnn.deploy.verification.test_vectors import Vectors

OPTIONS = ("-O3", "-march=native")


class Events(NamedTuple):
    """Events to replay, N of them, as the C takes them: float32, C order.

    z: `[N, Z]`, seen: `[N, S]`, u: `[N, K, U]`, dt: `[N, K]` [s]. ticks: `[N]` how many of K are
    real. starts: `[N]` whether a drive begins. mean `[n, X]`, cov `[n, D, D]`: each drive's belief.
    """

    z: np.ndarray
    seen: np.ndarray
    u: np.ndarray
    dt: np.ndarray
    ticks: np.ndarray
    starts: np.ndarray
    mean: np.ndarray
    cov: np.ndarray


def events_from_vectors(vectors: Vectors) -> Events:
    """Return the events of test vectors, without the carry."""
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


def events_from_drives(drives: Drive) -> Events:
    """Concatenate the events of drives `[n, E, ...]`."""
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
    """Compile a folder's C with a replay of events; UserError where that fails."""
    name = identifier(machine.name)
    (folder / "replay.c").write_text(render_main(machine, len(events.z), len(events.mean)))
    objects = []
    for source in (f"{name}.c", f"{name}_weights.c", "replay.c"):
        objects.append(str(folder / source.replace(".c", ".o")))
        command = [compiled.find_compiler(), "-std=c99", *options, "-c", str(folder / source)]
        run_tool([*command, "-o", objects[-1]], name)
    program = folder / "replay"
    run_tool([compiled.find_compiler(), *options, "-o", str(program), *objects, "-lm"], name)
    return program


def run_replay(program: Path, events: Events, seconds: float) -> tuple[np.ndarray, int]:
    """Run a replay for some seconds; return `[laps, segments]` nanoseconds, and refused events."""
    data = program.with_name("events.bin")
    data.write_bytes(b"".join(np.ascontiguousarray(a).tobytes() for a in events))
    output = run_tool([str(program), str(data), f"{seconds:g}"], program.parent.name).split()
    refused, segments, *times = map(int, output)
    return np.array(times, float).reshape(-1, segments), refused


def run_tool(command: list[str], name: str) -> str:
    """Run a tool on `name` and return its output; UserError where it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as problem:
        raise UserError(
            f"cannot run {command[0]}",
            why=str(problem),
            cure="apt install gcc, or set another compiler: CC=clang",
            code=MISSING,
        ) from None
    if done.returncode:
        raise UserError(
            f"{Path(command[0]).name} fails with {name}",
            why=done.stderr.strip()[:400] or f"exit code {done.returncode}",
            cure="report it with the compiler's name and version",
        )
    return done.stdout
