"""`kalmanrnn sims`: list the bundled sims, copy one, check one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

from kalmanrnn.cli.common import parse
from kalmanrnn.core.errors import OK, UsageError


def sims(args: Sequence[str]) -> int:
    """List the bundled sims, one line each; or copy one, or check one."""
    if args and args[0] in ACTIONS:
        return ACTIONS[args[0]](args[1:])
    if args and args[0] not in ("-h", "--help"):
        raise UsageError(
            f"sims has no subcommand {args[0]!r}",
            why="alone it lists the bundled sims; subcommands: copy, check",
            cure="kalmanrnn sims, kalmanrnn sims copy NAME FILE.py, kalmanrnn sims check FILE.py",
        )
    from kalmanrnn.scenarios.catalogue import exports_task, list_sims

    robots = [(name, what) for name, what in list_sims() if not exports_task(name)]
    tasks = [(name, what) for name, what in list_sims() if exports_task(name)]
    for name, summary in robots:
        print(f"{name:12s} {summary}")
    print("\nsequence tasks, with no filter in them:")
    for name, summary in tasks:
        print(f"{name:12s} {summary}")
    if args:
        print("\nkalmanrnn sims copy NAME FILE.py    start your own from a copy")
        print("kalmanrnn sims check FILE.py        find mistakes before you train")
    return OK


@dataclass(frozen=True)
class CopyFlags:
    """Copy a bundled sim to a file of your own, as a start for your robot."""

    name: tyro.conf.Positional[str]
    """A bundled sim; `kalmanrnn sims` lists them."""
    file: tyro.conf.Positional[Path]
    """The new file, ending in .py."""


def copy(args: Sequence[str]) -> int:
    """Copy a bundled sim."""
    flags = parse(CopyFlags, args, prog="kalmanrnn sims copy")
    from kalmanrnn.scenarios.catalogue import copy_sim

    copy_sim(flags.name, flags.file)
    path = flags.file if flags.file.is_absolute() else f"./{flags.file}"
    print(f"{flags.file}: a copy of {flags.name}; edit it to describe your robot, then\n")
    print(f"kalmanrnn sims check {path}\nkalmanrnn train --sim {path}")
    return OK


@dataclass(frozen=True)
class CheckFlags:
    """Check a sim: dimensions, units, Jacobians, observability, consistency, initial belief."""

    sim: tyro.conf.Positional[str]
    """Name of a bundled sim, or a path to a .py file that exports SCENARIO."""
    set: tuple[str, ...] = ()
    """Parameters of the sim's make(), as name=value."""
    seed: int = 0
    """Seed of the simulated drives."""


def check(args: Sequence[str]) -> int:
    """Check a sim; exit code 3 if there is an error."""
    flags = parse(CheckFlags, args, prog="kalmanrnn sims check")
    from kalmanrnn.diagnostics.finding import exit_code, format_findings
    from kalmanrnn.diagnostics.scenario.check import check_scenario
    from kalmanrnn.scenarios.scenario import load_scenario

    findings = check_scenario(load_scenario(flags.sim, flags.set), seed=flags.seed)
    print(format_findings(findings))
    return exit_code(findings)


ACTIONS = {"copy": copy, "check": check}
