"""Plain settings: the one place where a default is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class StudentConfig:
    """What the network is.

    student: how its output becomes an estimate; see `kalmanrnn.student`.
    every: run it once per event, or at every tick.
    cell, hidden, layers: the recurrent core. head: width of the hidden layer behind it.
    chrono_events: longest memory that forget gates start with (Tallec and Ollivier 2018).
    """

    student: Literal["gain", "residual", "delta", "feedback", "direct"] = "gain"
    every: Literal["event", "tick"] = "event"
    cell: Literal["lstm", "gru", "elman"] = "lstm"
    hidden: int = 96
    layers: int = 1
    head: int = 64
    chrono_events: int = 300
