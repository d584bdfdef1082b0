"""State spaces made of named blocks, each a vector, an angle or a rotation.

A state is a flat array `[X]`; a rotation takes four numbers of it, a unit quaternion
x, y, z, w from body to world axes. A tangent vector is a flat array `[D]`;
a rotation takes three numbers of it, a rotation vector [rad] in world axes or, for
`side="body"`, in body axes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise, starmap
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from kalmanrnn.core import quaternion

DEGREES = 180.0 / np.pi


@dataclass(frozen=True)
class Block:
    """One named part of a state.

    size: length of a vector block; ignored for angles (1) and rotations (4).
    unit: the unit in reports; "deg" and "deg/s" are converted from radians.
    side: the axes of a rotation's tangent vector.
    """

    name: str
    kind: Literal["vector", "angle", "rotation"] = "vector"
    size: int = 3
    unit: str = ""
    side: Literal["world", "body"] = "world"

    @property
    def state_size(self) -> int:
        """Numbers this block takes in a state."""
        return {"vector": self.size, "angle": 1, "rotation": 4}[self.kind]

    @property
    def tangent_size(self) -> int:
        """Numbers this block takes in a tangent vector."""
        return {"vector": self.size, "angle": 1, "rotation": 3}[self.kind]

    @property
    def factor(self) -> float:
        """Return the factor from SI to `unit`."""
        return DEGREES if self.unit.startswith("deg") else 1.0


@dataclass(frozen=True)
class StateSpace:
    """The layout of a state and the arithmetic on it."""

    blocks: tuple[Block, ...]

    @cached_property
    def state_dim(self) -> int:
        """Return X, the length of a state."""
        return sum(block.state_size for block in self.blocks)

    @cached_property
    def tangent_dim(self) -> int:
        """Return D, the length of a tangent vector."""
        return sum(block.tangent_size for block in self.blocks)

    def block(self, name: str) -> Block:
        """Return the block of that name; KeyError lists the others."""
        for block in self.blocks:
            if block.name == name:
                return block
        raise KeyError(f"no block {name!r} in {[block.name for block in self.blocks]}")

    def has_height(self, name: str) -> bool:
        """Whether there is a vector block of that name with three components."""
        return any(b.name == name and b.kind == "vector" and b.size == 3 for b in self.blocks)

    def state_slice(self, name: str) -> slice:
        """Return a block's slice of a state."""
        return self._slices("state_size")[self.blocks.index(self.block(name))]

    def tangent_slice(self, name: str) -> slice:
        """Return a block's slice of a tangent vector."""
        return self._slices("tangent_size")[self.blocks.index(self.block(name))]

    def _slices(self, size: str) -> list[slice]:
        ends = [0, *accumulate(getattr(block, size) for block in self.blocks)]
        return list(starmap(slice, pairwise(ends)))

    def get(self, x: jax.Array, name: str) -> jax.Array:
        """Return one block of a state `[X]`."""
        return x[self.state_slice(name)]

    def identity(self) -> np.ndarray:
        """Return the state of zeros and identity rotations."""
        state = np.zeros(self.state_dim)
        for block, place in zip(self.blocks, self._slices("state_size"), strict=True):
            state[place.stop - 1] = float(block.kind == "rotation")
        return state

    def retract(self, x: jax.Array, d: jax.Array) -> jax.Array:
        """Move a state `[X]` by a tangent vector `[D]`."""
        slices = zip(self._slices("state_size"), self._slices("tangent_size"), strict=True)
        both = zip(self.blocks, slices, strict=True)
        return jnp.concatenate([_retract(block, x[s], d[t]) for block, (s, t) in both])

    def difference(self, y: jax.Array, x: jax.Array) -> jax.Array:
        """Return the tangent vector `[D]` from state x to state y."""
        both = zip(self.blocks, self._slices("state_size"), strict=True)
        return jnp.concatenate([_difference(block, y[s], x[s]) for block, s in both])


def wrap(angle: jax.Array) -> jax.Array:
    """Wrap angles [rad] to [-pi, pi)."""
    return jnp.mod(angle + jnp.pi, 2 * jnp.pi) - jnp.pi


def _retract(block: Block, x: jax.Array, d: jax.Array) -> jax.Array:
    if block.kind != "rotation":
        return wrap(x + d) if block.kind == "angle" else x + d
    rotation = quaternion.exp(d)
    pair = (rotation, x) if block.side == "world" else (x, rotation)
    return quaternion.normalise(quaternion.multiply(*pair))


def _difference(block: Block, y: jax.Array, x: jax.Array) -> jax.Array:
    if block.kind != "rotation":
        return wrap(y - x) if block.kind == "angle" else y - x
    back = quaternion.inverse(x)
    pair = (y, back) if block.side == "world" else (back, y)
    return quaternion.log(quaternion.multiply(*pair))
