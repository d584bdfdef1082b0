"""Errors that a user can fix, in three lines; and the exit codes."""

from __future__ import annotations

from functools import partial
from typing import Any

OK, BUG, USAGE, DATA, MISSING, DIVERGED, INTERRUPTED = 0, 1, 2, 3, 4, 5, 130


class UserError(Exception):
    """An expected failure: what happened, why, and a command or change that fixes it."""

    what: str
    why: str
    cure: str
    code: int = DATA

    def __init__(self, what: str, *, why: str, cure: str, code: int | None = None):
        super().__init__(what)
        self.what, self.why, self.cure = what, why, cure
        self.code = self.code if code is None else code

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel between processes whole."""
        return partial(type(self), why=self.why, cure=self.cure, code=self.code), (self.what,)

    def __str__(self) -> str:
        """Give the three lines a person reads."""
        return f"error: {self.what}\nwhy:   {self.why}\ntry:   {self.cure}"


class UsageError(UserError):
    """A command, flag, setting or argument that cannot be used."""

    code = USAGE
