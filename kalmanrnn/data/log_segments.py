"""Segments of real logs as drives: for training, validation and test, none overlapping.

A log is bound to the scenario and filtered as a whole; a segment of it then starts as a
simulated drive does: from what the filter believed there, offset by a draw from `initial_std`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from kalmanrnn.core.config import LogsConfig
from kalmanrnn.core.datatypes import Belief, Drive, Packet
from kalmanrnn.core.errors import UserError
from kalmanrnn.filters.kinds import FILTERS
from kalmanrnn.scenarios.scenario import Scenario

VALIDATION_SHARE = 1 / 3
MIN_EVENTS = 10


class Segment(NamedTuple):
    """A part of a log: events without a batch axis, and what the filter believed before each.

    before: mean `[E, X]` and covariance `[E, D, D]` before each event's measurements.
    """

    name: str
    drive: Drive
    before: Belief

    def slice(self, first: int, last: int) -> Segment:
        """Return the events from first to last, last not included; t starts at 0 there."""
        d = self.drive
        t, packets, before = jax.tree.map(
            lambda a: np.asarray(a)[first:last], (d.t, d.packets, self.before)
        )
        truth = None if d.truth is None else d.truth[first:last]
        belief = Belief(before.mean[0], before.cov[0])
        return Segment(self.name, Drive(t - t[0], packets, belief, truth), before)


def filter_log(scenario: Scenario, kind: str, name: str, drive: Drive) -> Segment:
    """Run a filter over a whole log's drive (no batch axis)."""
    with jax.enable_x64(True):
        before = _beliefs(scenario, kind, drive._replace(truth=None))
        return Segment(name, drive, jax.tree.map(np.asarray, before))


@partial(jax.jit, static_argnums=(0, 1))
def _beliefs(scenario: Scenario, kind: str, drive: Drive) -> Belief:
    filter_ = FILTERS[kind](scenario)

    def step(carry, packet):
        after, _ = filter_.step(carry, packet)
        return after, carry

    _, before = jax.lax.scan(step, filter_.init(drive.belief), drive.packets)
    return before


class Split(NamedTuple):
    """Segments for training, for validation and for test; none overlap."""

    train: tuple[Segment, ...]
    validation: tuple[Segment, ...]
    test: tuple[Segment, ...]


def split_logs(whole: Sequence[Segment], logs: LogsConfig) -> Split:
    """Split logs: whole ones where there are several, else a single one at gaps.

    Of several, the last quarter, at least one, is kept apart; of a single log its last
    `test_share`. Of what is kept apart, the first log is for validation and the others for test;
    or, of a single one, its first third and the rest. Gaps of `test_gap_s` are left out.
    """
    if len(whole) == 1:
        train, held = split_segment(whole[0], 1 - logs.test_share, logs.test_gap_s)
        validation, test = split_segment(held, VALIDATION_SHARE, logs.test_gap_s)
        return Split((train,), (validation,), (test,))
    count = max(1, round(logs.test_share * len(whole)))
    held = whole[-count:]
    if count > 1:
        return Split(tuple(whole[:-count]), tuple(held[:1]), tuple(held[1:]))
    validation, test = split_segment(held[0], VALIDATION_SHARE, logs.test_gap_s)
    return Split(tuple(whole[:-1]), (validation,), (test,))


def split_segment(one: Segment, share: float, gap_s: float) -> tuple[Segment, Segment]:
    """Split a segment at a share of its time, less the gap before that."""
    t = one.drive.t
    second = int(np.searchsorted(t, t[-1] * share))
    first = int(np.searchsorted(t, t[min(second, len(t) - 1)] - gap_s))
    if first < MIN_EVENTS or len(t) - second < MIN_EVENTS:
        raise UserError(
            f"{one.name} is too short to be split",
            why=f"{t[-1]:.0f} s of it must give two segments of at least {MIN_EVENTS} events and "
            f"a gap of {gap_s:g} s",
            cure="use more or longer logs, a smaller --test-gap-s, or a larger --test-share",
        )
    return one.slice(0, first), one.slice(second, len(t))


def sample_segments(
    scenario: Scenario, parts: Sequence[Segment], events: int, count: int, rng: np.random.Generator
) -> Drive:
    """Sample segments of that many events anywhere in the parts, as a batch of drives."""
    starts = np.array([len(p.drive.t) - events + 1 for p in parts])
    _check_length(scenario, parts, events, starts)
    starts = np.maximum(starts, 0)
    which = rng.choice(len(parts), size=count, p=starts / starts.sum())
    firsts = [int(rng.integers(starts[i])) for i in which]
    cuts = [parts[i].slice(e, e + events) for i, e in zip(which, firsts, strict=True)]
    return as_batch(scenario, cuts, rng)


def consecutive_segments(
    scenario: Scenario, parts: Sequence[Segment], events: int, most: int, rng: np.random.Generator
) -> Drive:
    """Cut the parts one after another into segments of that many events, at most `most`."""
    cuts = [
        p.slice(e, e + events) for p in parts for e in range(0, len(p.drive.t) - events + 1, events)
    ]
    _check_length(scenario, parts, events, np.array([len(cuts)]))
    return as_batch(scenario, cuts[:most], rng)


def as_batch(scenario: Scenario, cuts: Sequence[Segment], rng: np.random.Generator) -> Drive:
    """Stack segments of equal length, ticks padded, each with a fresh first belief."""
    ticks = max(c.drive.packets.dt.shape[1] for c in cuts)
    std = np.asarray(scenario.initial_std)
    offsets = rng.standard_normal((len(cuts), std.size)) * std
    centre = np.stack([c.before.mean[0] for c in cuts])
    with jax.enable_x64(True):
        mean = np.asarray(_offset(scenario, centre, offsets))
    unknown = np.full((len(cuts[0].drive.t), scenario.space.state_dim), np.nan)
    truths = [unknown if c.drive.truth is None else c.drive.truth for c in cuts]
    return Drive(
        np.stack([c.drive.t for c in cuts]),
        jax.tree.map(lambda *a: np.stack(a), *[pad_ticks(c.drive.packets, ticks) for c in cuts]),
        Belief(mean, np.broadcast_to(np.diag(std**2), (len(cuts), std.size, std.size))),
        np.stack(truths),
    )


@partial(jax.jit, static_argnums=0)
def _offset(scenario: Scenario, x: jax.Array, d: jax.Array) -> jax.Array:
    return jax.vmap(scenario.space.retract)(jnp.asarray(x), jnp.asarray(d))


def pad_ticks(packets: Packet, ticks: int) -> Packet:
    """Pad ticks `[..., K, U]` with ticks of no length."""
    more = ticks - packets.dt.shape[-1]
    ahead = [(0, 0)] * (packets.dt.ndim - 1)
    return packets._replace(
        u=np.pad(packets.u, [*ahead, (0, more), (0, 0)]), dt=np.pad(packets.dt, [*ahead, (0, more)])
    )


def concatenate(first: Drive, second: Drive) -> Drive:
    """Concatenate two batches of drives with equally many events."""
    ticks = max(first.packets.dt.shape[-1], second.packets.dt.shape[-1])
    both = [d._replace(packets=pad_ticks(d.packets, ticks)) for d in (first, second)]
    return jax.tree.map(lambda a, b: np.concatenate([np.asarray(a), np.asarray(b)]), *both)


def _check_length(
    scenario: Scenario, parts: Sequence[Segment], events: int, found: np.ndarray
) -> None:
    if (found > 0).any():
        return
    longest = max(p.drive.t[-1] for p in parts)
    raise UserError(
        f"the logs are too short for drives of {events / scenario.event_hz:g} s",
        why=f"the longest segment of {', '.join(sorted({p.name for p in parts}))} is "
        f"{longest:.0f} s, without the test part",
        cure=f"--seconds {max(5, int(longest / 2))}, or longer logs",
    )
