"""Write a simulated drive as the three CSV files that the replays read (see README.md)."""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from kalmanrnn.core.datatypes import Drive
from kalmanrnn.scenarios.scenario import Scenario, load_scenario
from kalmanrnn.scenarios.simulation import simulate_batch


def main() -> None:
    """Simulate one drive and write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sim", help="a shipped sim's name or a .py file")
    parser.add_argument("out", type=Path, help="a folder for the three files")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    flags = parser.parse_args()
    scenario = load_scenario(flags.sim)
    drives = simulate_batch(scenario, jax.random.key(flags.seed), 1, flags.seconds)
    write_drive(flags.out, scenario, jax.tree.map(lambda a: np.asarray(a)[0], drives))


def write_drive(folder: Path, scenario: Scenario, drive: Drive) -> None:
    """Write a drive's events, its ticks, and where it starts."""
    folder.mkdir(parents=True, exist_ok=True)
    sensors, p = scenario.sensors, drive.packets
    readings = [f"z_{s.name}_{c.name}" for s in sensors for c in s.channels]
    header = ["t", *readings, *(f"seen_{s.name}" for s in sensors)]
    times = [repr(float(t)) for t in drive.t]
    rows = ([t, *texts(z), *map(int, seen)] for t, z, seen in zip(times, p.z, p.seen, strict=True))
    write(folder / "events.csv", header, rows)
    ticks = (
        [t, *texts([d]), *texts(row)]
        for t, u, dt in zip(times, p.u, p.dt, strict=True)
        for row, d in zip(u, dt, strict=True)
        if d > 0
    )
    write(folder / "ticks.csv", ["t_event", "dt", *(f"u_{c.name}" for c in scenario.inputs)], ticks)
    blocks = scenario.space.blocks
    names = [f"mean_{b.name}_{i}" for b in blocks for i in range(b.state_size)]
    write(folder / "start.csv", names, [texts(drive.belief.mean)])


def texts(numbers: Iterable[Any]) -> list[str]:
    """Write numbers so that they are read again as the same float32."""
    return [f"{np.float32(x):.9g}" for x in numbers]


def write(path: Path, header: list[str], rows: Iterable[list[Any]]) -> None:
    """Write one table."""
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


if __name__ == "__main__":
    main()
