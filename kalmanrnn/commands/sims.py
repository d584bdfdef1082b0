"""`kalmanrnn sims`."""

from __future__ import annotations

from collections.abc import Sequence

from kalmanrnn.errors import OK, USAGE, UserError


def sims(args: Sequence[str]) -> int:
    """List the shipped sims, one line each."""
    if args:
        raise UserError(
            f"sims takes no {args[0]!r}",
            why="it only lists the robots that come along",
            cure="kalmanrnn sims",
            code=USAGE,
        )
    from kalmanrnn.sims_index import list_sims

    for name, summary in list_sims():
        print(f"{name:10s} {summary}")
    return OK
