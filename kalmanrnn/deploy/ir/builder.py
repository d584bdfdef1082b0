"""Build a program operation by operation, simplifying as it grows; imports no jax.

Constants are folded; a take of a take becomes one; equal constants and equal operations are
merged; scalars are not broadcast before arithmetic. `finish` drops what no output needs and
renumbers the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kalmanrnn.deploy.ir.program import BINARY, NUMPY, UNARY, Dtype, Op, Port, Program, Value
from kalmanrnn.deploy.runtime import compute

ELEMENTWISE = {*UNARY, *BINARY, "select", "convert"}
# Numbers that leave the other operand unchanged: (left, right). Like XLA, x + 0 is simplified to
# x, though it would make -0 a 0.
NEUTRAL = {"add": (0, 0), "sub": (None, 0), "mul": (1, 1), "div": (None, 1)}
EMPTY_SUM = {"sum": 0, "max": -np.inf, "min": np.inf, "and": True, "or": False}


class Builder:
    """A program in the making; values are numbers.

    fold: False emits every operation as it comes, for tests to compare with.
    known: values of constants, and of operations on constants alone.
    """

    def __init__(self, *, fold: bool = True):
        self.fold = fold
        self.values: list[Value] = []
        self.known: dict[int, np.ndarray] = {}
        self.constants: dict[int, np.ndarray] = {}
        self.weights: dict[int, str] = {}
        self.ops: list[Op] = []
        self.producer: dict[int, Op] = {}
        self._cache: dict[Any, int] = {}

    def new(self, shape: Sequence[int], dtype: Dtype) -> int:
        """Return the number of a new value: an input, or a result."""
        self.values.append(Value(tuple(int(n) for n in shape), dtype))
        return len(self.values) - 1

    def const(self, array: Any, dtype: Dtype, name: str = "") -> int:
        """Return a constant's number; `name` makes it a weight, which is never merged."""
        array = np.array(array, NUMPY[dtype], order="C")
        key = ("const", dtype, array.shape, array.tobytes())
        if not name and key in self._cache:
            return self._cache[key]
        number = self.new(array.shape, dtype)
        self.known[number] = self.constants[number] = array
        if name:
            self.weights[number] = name
        else:
            self._cache[key] = number
        return number

    def op(
        self,
        kind: str,
        inputs: Sequence[int],
        shape: Sequence[int],
        dtype: Dtype,
        source: str = "",
        **attrs: Any,
    ) -> int:
        """Return the value of an operation with one output."""
        shape = tuple(int(n) for n in shape)
        if 0 in shape:
            return self.const(np.zeros(shape), dtype)
        if kind == "reduce" and 0 in self.values[inputs[0]].shape:
            return self.const(np.full(shape, EMPTY_SUM[attrs["how"]]), dtype)
        if kind == "matmul" and 0 in self.values[inputs[0]].shape:
            return self.const(np.zeros(shape), dtype)
        if self.fold and kind in ELEMENTWISE:
            return self._elementwise(kind, tuple(inputs), shape, dtype, source)
        if self.fold and kind == "take":
            return self._take(inputs, attrs["index"], shape, dtype, source)
        return self._emit(kind, tuple(inputs), shape, dtype, source, attrs)

    def take(self, inputs: Sequence[int], index: Any, source: str = "") -> int:
        """Return elements of flattened inputs at `index`, in its shape."""
        index = np.asarray(index, np.int32)
        dtype = self.values[inputs[0]].dtype
        return self.op("take", inputs, index.shape, dtype, source, index=index.reshape(-1))

    def reshape(self, value: int, shape: Sequence[int], source: str = "") -> int:
        """Return the same numbers in another shape; a weight keeps its name."""
        shape = tuple(int(n) for n in shape)
        if self.values[value].shape == shape:
            return value
        if self.fold and value in self.weights:
            return self.const(
                self.known[value].reshape(shape), self.values[value].dtype, self.weights[value]
            )
        return self.take([value], np.arange(np.prod(shape, dtype=int)).reshape(shape), source)

    def _emit(self, kind, inputs, shape, dtype, source, attrs) -> int:
        """Add an operation, unless its value is known or exists already."""
        known = None
        if all(i in self.known for i in inputs):
            known = compute(kind, attrs, [self.known[i] for i in inputs], shape, dtype)
            if self.fold:
                return self.const(known, dtype)
        key = (kind, inputs, shape, dtype, *((k, _hashable(v)) for k, v in sorted(attrs.items())))
        if self.fold and key in self._cache:
            return self._cache[key]
        number = self.new(shape, dtype)
        if known is not None:
            self.known[number] = known
        self._add(Op(kind, inputs, (number,), attrs, source))
        self._cache[key] = number
        return number

    def _add(self, op: Op) -> None:
        self.ops.append(op)
        for number in op.outputs:
            self.producer[number] = op

    def loop(
        self, inputs: Sequence[int], outputs: Sequence[Value], source: str, attrs: Any
    ) -> tuple[int, ...]:
        """Add a loop; return its outputs' numbers."""
        numbers = tuple(self.new(*value) for value in outputs)
        self._add(Op("loop", tuple(inputs), numbers, attrs, source))
        return numbers

    def _elementwise(self, kind, inputs, shape, dtype, source) -> int:
        inputs = tuple(self._as_scalar(i) for i in inputs)
        same = self._identity_operand(kind, inputs, shape, dtype, source)
        if same is not None:
            return same
        if all(self.values[i].size == 1 for i in inputs) and np.prod(shape, dtype=int) > 1:
            one = self._emit(kind, inputs, (), dtype, source, {})
            return self.take([one], np.zeros(shape, np.int32), source)
        return self._emit(kind, inputs, shape, dtype, source, {})

    def _identity_operand(self, kind, inputs, shape, dtype, source) -> int | None:
        """Return the operand that an operation leaves unchanged, if there is one."""
        if kind == "convert" and self.values[inputs[0]].dtype == dtype:
            return self._broadcast(inputs[0], shape, source)
        if kind in NEUTRAL:
            for side, neutral in enumerate(NEUTRAL[kind]):
                known = self.known.get(inputs[side])
                if neutral is not None and known is not None and (known == neutral).all():
                    return self._broadcast(inputs[1 - side], shape, source)
        if kind == "select":
            pred, on_false, on_true = inputs
            if on_false == on_true:
                return self._broadcast(on_true, shape, source)
            if pred in self.known:
                return self._select_known(self.known[pred], on_false, on_true, shape, source)
        return None

    def _select_known(self, pred, on_false, on_true, shape, source) -> int:
        """Lower a select with a known condition to a take."""
        size = int(np.prod(shape, dtype=int))
        place = np.arange(size)
        first = self.values[on_false].size
        index = [place if self.values[i].size > 1 else 0 * place for i in (on_false, on_true)]
        index = np.where(np.broadcast_to(pred, shape).reshape(-1), first + index[1], index[0])
        return self.take([on_false, on_true], index.reshape(shape), source)

    def _broadcast(self, value: int, shape: tuple[int, ...], source: str) -> int:
        if self.values[value].size == 1:
            return self.take([value], np.zeros(shape, np.int32), source)
        return self.reshape(value, shape, source)

    def _as_scalar(self, value: int) -> int:
        """Return the scalar that a value repeats everywhere, or the value itself."""
        if self.values[value].size <= 1 or value in self.weights:
            return value
        if value in self.known:
            flat = self.known[value].reshape(-1)
            if (flat.view(np.uint8).reshape(flat.size, -1) == flat[:1].view(np.uint8)).all():
                return self.const(flat[0], self.values[value].dtype)
            return value
        op = self.producer.get(value)
        if (
            op is not None
            and op.kind == "take"
            and (op.attrs["index"] == op.attrs["index"][0]).all()
        ):
            return self.take(op.inputs, op.attrs["index"][:1].reshape(()), op.source)
        return value

    def _take(self, inputs, index, shape, dtype, source) -> int:
        """Compose a take with those before it; merge the constants it reads from."""
        index = np.asarray(index, np.int64).reshape(-1)
        which, place = _locate(index, [self.values[i].size for i in inputs])
        if len(set(inputs)) == 1 and inputs[0] in self.known:
            return self.const(self.known[inputs[0]].reshape(-1)[place].reshape(shape), dtype)
        which = np.asarray(inputs, np.int64)[which]
        for number in set(which.tolist()):
            op = self.producer.get(number)
            if op is None or op.kind != "take":
                continue
            mine = which == number
            through = np.asarray(op.attrs["index"], np.int64)[place[mine]]
            inner, place[mine] = _locate(through, [self.values[i].size for i in op.inputs])
            which[mine] = np.asarray(op.inputs, np.int64)[inner]
        which, place = self._merge_constants(which, place, dtype)
        used = list(dict.fromkeys(which.tolist()))
        if len(used) == 1:
            if used[0] in self.known:
                return self.const(self.known[used[0]].reshape(-1)[place].reshape(shape), dtype)
            value = self.values[used[0]]
            if value.shape == shape and (place == np.arange(value.size)).all():
                return used[0]
        starts = np.cumsum([0] + [self.values[i].size for i in used[:-1]])
        start_of = dict(zip(used, starts.tolist(), strict=True))
        index = place + np.array([start_of[number] for number in which.tolist()])
        return self._emit(
            "take", tuple(used), shape, dtype, source, {"index": index.astype(np.int32)}
        )

    def _merge_constants(self, which, place, dtype):
        """Merge the constants that a take reads from into one, without repeats."""
        known = [n for n in dict.fromkeys(which.tolist()) if n in self.known]
        if not known or len(known) == len(set(which.tolist())) == 1:
            return which, place
        mine = np.isin(which, known)
        picked = np.empty(mine.sum(), NUMPY[dtype])
        for number in known:
            here = which[mine] == number
            picked[here] = self.known[number].reshape(-1)[place[mine][here]]
        # By their bits: NaN equals itself, and -0 is not 0.
        bits = picked.view({1: np.uint8, 4: np.uint32}[picked.itemsize])
        _, first, again = np.unique(bits, return_index=True, return_inverse=True)
        which[mine] = self.const(picked[first], dtype)
        place[mine] = again
        return which, place

    def needed(self, outputs: Sequence[Port]) -> set[int]:
        """Return the values that outputs depend on."""
        found = {port.value for port in outputs}
        for op in reversed(self.ops):
            if found & set(op.outputs):
                found |= set(op.inputs)
        return found

    def finish(self, name: str, inputs: Sequence[Port], outputs: Sequence[Port]) -> Program:
        """Return the program that outputs need; inputs are kept, used or not."""
        needed = self.needed(outputs)
        ops = [op for op in self.ops if needed & set(op.outputs)]
        constants = [n for n in self.constants if n in needed]
        order = [port.value for port in inputs] + constants + [n for op in ops for n in op.outputs]
        renumbered = {number: i for i, number in enumerate(order)}
        return Program(
            name=name,
            inputs=tuple(Port(p.name, renumbered[p.value]) for p in inputs),
            outputs=tuple(Port(p.name, renumbered[p.value]) for p in outputs),
            values={renumbered[n]: self.values[n] for n in order},
            constants={renumbered[n]: self.constants[n] for n in constants},
            weights={renumbered[n]: self.weights[n] for n in constants if n in self.weights},
            ops=tuple(
                op._replace(
                    inputs=tuple(renumbered[n] for n in op.inputs),
                    outputs=tuple(renumbered[n] for n in op.outputs),
                )
                for op in ops
            ),
        )


def _locate(index: np.ndarray, sizes: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Return which of several concatenated arrays an index falls in, and where in it."""
    ends = np.cumsum(sizes)
    which = np.searchsorted(ends, index, side="right")
    return which, index - (ends - np.asarray(sizes))[which]


def _hashable(value: Any) -> Any:
    return value.tobytes() if isinstance(value, np.ndarray) else value
