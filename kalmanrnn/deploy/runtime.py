"""Run an exported estimator with numpy alone: `load(folder)`, then `init` and `step`.

This file imports only numpy and the standard library, and is copied into every export folder.
The folder's files are data: nothing in them is executed. All arithmetic is float32.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import zipfile
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

FORMAT = 1
MAX_SIZE = 2**26
NUMPY = {"f32": np.float32, "i32": np.int32, "bool": np.bool_}
ONE = np.float32(1)


class Damaged(ValueError):  # noqa: N818
    """A file of the folder is missing or damaged; the message names it."""


class Value(NamedTuple):
    """An array's shape and type."""

    shape: tuple[int, ...]
    dtype: str


class Port(NamedTuple):
    """A named input or output."""

    name: str
    value: int


class Op(NamedTuple):
    """One operation, as `spec.json` lists them."""

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    attrs: dict[str, Any]
    source: str


class Program(NamedTuple):
    """One pure function of arrays, in order of computation."""

    name: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    values: dict[int, Value]
    constants: dict[int, np.ndarray]
    ops: tuple[Op, ...]


class Estimator:
    """An exported estimator and its state; call `init` first, then `step` at every event.

    spec: the content of `spec.json`. mean: `[X]` the last estimate, float64 for its origin
    block. cov: `[D, D]` from filters, else None.
    """

    def __init__(self, spec: dict[str, Any], step: Program, init: Program):
        self.spec = spec
        self._first, self._step = prepare(init), prepare(step)
        self._init_ports, self._step_ports = init, step
        self._carry: list[Any] | None = None
        self._origin = np.zeros(0)
        self.mean: np.ndarray | None = None
        self.cov: np.ndarray | None = None

    def init(self, mean: Any, cov: Any = None) -> None:
        """Start from a state `[X]` in the world and its covariance `[D, D]`.

        Without a covariance the scenario's initial standard deviations are used.
        """
        x, d = self.spec["state_dim"], self.spec["tangent_dim"]
        mean = np.array(_finite_array("mean", mean, (x,), np.float64))
        std = np.asarray(self.spec["initial_std"])
        cov = _finite_array("cov", np.diag(std**2) if cov is None else cov, (d, d))
        origin = self.spec["origin"]
        self._origin = np.round(mean[slice(*origin["state"])]) if origin else np.zeros(0)
        if origin:
            mean[slice(*origin["state"])] -= self._origin
        given = {"mean": mean.astype(np.float32), "cov": cov}
        with np.errstate(all="ignore"):
            self._carry = self._first([given[p.name] for p in self._init_ports.inputs], None)
        self.mean, self.cov = self._world(given["mean"]), None

    def step(self, z: Any, seen: Any, u: Any, dt: Any) -> np.ndarray:
        """Take one event and the ticks up to the next; return the state `[X]` at the event.

        z: `[Z]`, anything where not seen. seen: `[S]`. u: `[k, U]`, dt: `[k]` seconds, k up to
        the spec's `max_ticks`. ValueError for numbers that are not finite; the state is then
        unchanged.
        """
        if self._carry is None:
            raise ValueError("call init(mean) before the first step")
        given, ticks = self._packet(z, seen, u, dt)
        names = [port.name for port in self._step_ports.inputs]
        carry = iter(self._carry)
        inputs = [given[n] if n in given else next(carry) for n in names]
        with np.errstate(all="ignore"):
            outputs = self._step(inputs, ticks)
        estimate = {p.name: a for p, a in zip(self._step_ports.outputs, outputs, strict=True)}
        if not all(np.isfinite(a).all() for a in outputs):
            raise ValueError("the estimate is not finite; the state is unchanged")
        self._carry = outputs[: len(self._carry)]
        self.mean, self.cov = self._world(estimate["mean"]), estimate.get("cov")
        return self.mean

    def _packet(self, z, seen, u, dt) -> tuple[dict[str, np.ndarray], int]:
        """Check the arguments; move them to the local origin and pad the ticks."""
        columns = [sensor["columns"] for sensor in self.spec["sensors"]]
        seen = np.asarray(seen)
        if seen.shape != (len(columns),):
            raise ValueError(f"seen must have {len(columns)} flags, got shape {seen.shape}")
        seen = seen.astype(bool)
        mask = np.repeat(seen, [stop - start for start, stop in columns])
        z = np.asarray(z, np.float64)
        if z.shape != mask.shape:
            raise ValueError(f"z must have {mask.size} numbers, got shape {z.shape}")
        z = np.where(mask, z, 0.0)
        origin = self.spec["origin"]
        for column, component in origin["columns"] if origin else ():
            z[column] -= self._origin[component] * mask[column]
        dt = np.atleast_1d(np.asarray(dt, np.float64))
        k, most = len(dt), self.spec["max_ticks"]
        if k > most:
            raise ValueError(
                f"got {k} ticks; this export takes at most {most} (export --max-ticks)"
            )
        width = len(self.spec["inputs"])
        u = np.zeros((k, 0)) if width == 0 else np.asarray(u, np.float64)
        padded_u, padded_dt = np.zeros((most, width), np.float32), np.zeros(most, np.float32)
        padded_u[:k] = _finite_array(
            "u", u.reshape(k, width) if u.size == k * width else u, (k, width)
        )
        padded_dt[:k] = _finite_array("dt", dt, (k,))
        if (padded_dt < 0).any():
            raise ValueError("dt must not be negative")
        z = _finite_array("z", z, z.shape)
        return {"z": z, "seen": seen, "u": padded_u, "dt": padded_dt}, k

    def _world(self, mean: Any) -> np.ndarray:
        """Return a state in world coordinates, float64."""
        mean = np.array(mean, np.float64)
        if self.spec["origin"]:
            mean[slice(*self.spec["origin"]["state"])] += self._origin
        return mean


def _finite_array(
    name: str, given: Any, shape: tuple[int, ...], dtype: Any = np.float32
) -> np.ndarray:
    """Return an array of finite numbers of a shape; ValueError otherwise."""
    with np.errstate(over="ignore"):
        array = np.asarray(given, np.float64).astype(dtype)
    if array.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, got {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} is not finite")
    return array


def load(folder: Any) -> Estimator:
    """Read an export folder; raises Damaged, naming the file, where it is not intact."""
    spec_path, weights_path = (os.path.join(folder, n) for n in ("spec.json", "weights.npz"))
    try:
        with open(spec_path, encoding="utf-8") as file:
            spec = json.load(file)
        if spec["format"] != FORMAT:
            raise ValueError(f"its format is {spec['format']}; this runtime reads {FORMAT}")
        if spec["sha256"] != digest(spec):
            raise ValueError("its checksum is wrong")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as problem:
        raise Damaged(f"{spec_path}: {problem}") from None
    try:
        with open(weights_path, "rb") as file:
            if hashlib.sha256(file.read()).hexdigest() != spec["files"]["weights.npz"]:
                raise ValueError("its checksum is wrong")
        with np.load(weights_path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as problem:
        raise Damaged(f"{weights_path}: {problem}") from None
    try:
        programs = [_program(spec["programs"][part], arrays) for part in ("step", "init")]
        return Estimator(spec, *programs)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as problem:
        raise Damaged(f"{spec_path}: {type(problem).__name__}: {problem}") from None


def digest(spec: dict[str, Any]) -> str:
    """Return the sha256 of a spec, without the field that holds it."""
    rest = {key: value for key, value in spec.items() if key != "sha256"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _program(data: dict[str, Any], arrays: dict[str, np.ndarray]) -> Program:
    """Read a program from plain data and check its types."""
    values = {int(n): Value(tuple(shape), dtype) for n, (shape, dtype) in data["values"].items()}
    constants = {int(n): arrays[name] for n, name in data["constants"].items()}
    for number, array in constants.items():
        _require(array.shape == values[number].shape, f"constant {number} has another shape")
        _require(array.dtype == NUMPY[values[number].dtype], f"constant {number} has another type")
    inputs, outputs = (tuple(Port(*p) for p in data[way]) for way in ("inputs", "outputs"))
    known = {port.value for port in inputs} | set(constants)
    ops = []
    for kind, sources, results, attrs, source in data["ops"]:
        _require(known.issuperset(sources), f"{kind} reads an unknown value")
        if kind == "take":
            size = int(np.prod(values[results[0]].shape, dtype=int))
            index = _index(attrs["index"], size)
            total = sum(int(np.prod(values[i].shape, dtype=int)) for i in sources)
            _require(
                not size or (index.min() >= 0 and index.max() < total), "take reads out of bounds"
            )
            attrs = {"index": index}
        elif kind == "loop":
            attrs = attrs | {"body": _program(attrs["body"], arrays)}
        known |= set(results)
        ops.append(Op(kind, tuple(sources), tuple(results), attrs, source))
    _require(known.issuperset(port.value for port in outputs), "an output is never computed")
    return Program(data["name"], inputs, outputs, values, constants, tuple(ops))


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


def _index(data: Any, size: int) -> np.ndarray:
    """Decode an index: a list, runs of (start, step, count), or base64."""
    _require(size <= MAX_SIZE, "an array is too large")
    if isinstance(data, list):
        index = np.array(data, np.int32)
    elif "runs" in data:
        runs = np.array(data["runs"], np.int64).reshape(-1, 3)
        _require(runs[:, 2].sum() == size, "an index has another length")
        index = np.concatenate([a + s * np.arange(n) for a, s, n in runs])
    else:
        index = np.frombuffer(base64.b64decode(data["base64"]), "<i4")
    _require(index.shape == (size,), "an index has another length")
    return index


def _logistic(x):
    return ONE / (ONE + np.exp(-x))


def _divide(a, b):
    if a.dtype.kind == "f":
        return np.divide(a, b)
    return np.sign(a) * np.sign(b) * (np.abs(a) // np.abs(b))


UNARY: dict[str, Callable[..., Any]] = {
    "neg": np.negative,
    "abs": np.abs,
    "sign": np.sign,
    "floor": np.floor,
    "ceil": np.ceil,
    "round": np.rint,
    "sqrt": np.sqrt,
    "rsqrt": lambda x: ONE / np.sqrt(x),
    "exp": np.exp,
    "log": np.log,
    "log1p": np.log1p,
    "expm1": np.expm1,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "tanh": np.tanh,
    "logistic": _logistic,
    "is_finite": np.isfinite,
    "not": np.logical_not,
}
BINARY: dict[str, Callable[..., Any]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": _divide,
    "max": np.maximum,
    "min": np.minimum,
    "pow": np.power,
    "atan2": np.arctan2,
    "rem": np.fmod,
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "and": np.logical_and,
    "or": np.logical_or,
}
ELEMENTWISE = {*UNARY, *BINARY, "select", "convert"}
REDUCE = {"sum": np.sum, "max": np.max, "min": np.min, "and": np.all, "or": np.any}
CUMULATE = {
    "sum": np.cumsum,
    "prod": np.cumprod,
    "max": np.maximum.accumulate,
    "min": np.minimum.accumulate,
}


def compute(
    kind: str, attrs: dict[str, Any], arrays: Sequence[Any], shape: Any, dtype: str
) -> np.ndarray:
    """Compute one operation other than a loop."""
    function = _function(kind, attrs, [np.shape(a) for a in arrays], tuple(shape), dtype)
    with np.errstate(all="ignore"):
        return np.asarray(function(*arrays), NUMPY[dtype])


def _function(
    kind: str,
    attrs: dict[str, Any],
    shapes: list[tuple[int, ...]],
    shape: tuple[int, ...],
    dtype: str,
) -> Callable[..., Any]:
    """Return a function that computes an operation on arrays of these shapes."""
    if kind in ELEMENTWISE:
        function = {**UNARY, **BINARY, "select": _select, "convert": NUMPY[dtype]}[kind]
        if kind == "convert":
            function = partial(np.asarray, dtype=NUMPY[dtype])
        return _elementwise(function, shapes, shape)
    if kind == "take":
        return partial(_take, index=np.reshape(attrs["index"], shape).astype(np.intp))
    if kind == "matmul":
        return np.matmul
    if kind in ("reduce", "cumulate"):
        return partial({"reduce": REDUCE, "cumulate": CUMULATE}[kind][attrs["how"]], axis=-1)
    if kind == "cholesky":
        return lambda a: np.stack([_cholesky(one) for one in a])
    if kind == "solve_triangular":
        return partial(_solve, **attrs)
    raise ValueError(f"there is no operation {kind!r}")


def _elementwise(function, shapes, shape):
    """Broadcast single numbers to any shape."""
    single = [shape_of != shape and np.prod(shape_of) == 1 for shape_of in shapes]
    if not any(single) and all(shape_of == shape for shape_of in shapes):
        return function

    def call(*arrays):
        arrays = (a.reshape(()) if one else a for a, one in zip(arrays, single, strict=True))
        return function(*arrays).reshape(shape)

    return call


def _select(pred, on_false, on_true):
    return np.where(pred, on_true, on_false)


def _take(*arrays, index):
    if len(arrays) == 1:
        return arrays[0].reshape(-1)[index]
    return np.concatenate([a.reshape(-1) for a in arrays])[index]


def run_program(program: Any, inputs: dict[str, Any], n_ticks: int | None = None) -> dict[str, Any]:
    """Run a program once, arrays by name; to run it repeatedly, `prepare` it."""
    with np.errstate(all="ignore"):
        found = prepare(program)(
            [np.asarray(inputs[port.name]) for port in program.inputs], n_ticks
        )
    return {p.name: np.asarray(a) for p, a in zip(program.outputs, found, strict=True)}


def prepare(program: Any) -> Callable[[Sequence[Any], int | None], list[Any]]:
    """Return (inputs in order, ticks used) -> outputs in order.

    A program is anything with the fields of `Program`. Counted loops stop after the ticks used.
    """
    first = dict(program.constants)
    steps = []
    for op in program.ops:
        shapes = [tuple(program.values[i].shape) for i in op.inputs]
        if op.kind == "loop":
            function = partial(_loop, prepare(op.attrs["body"]), op.attrs, len(op.inputs))
        else:
            value = program.values[op.outputs[0]]
            function = _function(op.kind, op.attrs, shapes, tuple(value.shape), value.dtype)
        steps.append((function, op.inputs, op.outputs, op.kind == "loop"))
    ports = [port.value for port in program.inputs]
    wanted = [port.value for port in program.outputs]

    def run(inputs, n_ticks):
        env = first | dict(zip(ports, inputs, strict=True))
        for function, sources, outputs, looping in steps:
            arrays = [env[i] for i in sources]
            if looping:
                env.update(zip(outputs, function(arrays, n_ticks), strict=True))
            else:
                env[outputs[0]] = function(*arrays)
        return [env[i] for i in wanted]

    return run


def _loop(body, attrs, count, arrays, n_ticks):
    """Run a body over the first axis of its walked arrays."""
    captured, carried, length = attrs["captured"], attrs["carried"], attrs["length"]
    state = arrays[captured : captured + carried]
    walked = arrays[captured + carried : count]
    iterations = length if n_ticks is None or not attrs["counted"] else min(n_ticks, length)
    collected = []
    for i in range(length):
        # Padding changes no state, but collected values have a row for each iteration.
        if i >= iterations and not (collected and collected[-1]):
            break
        found = body([*arrays[:captured], *state, *(a[i] for a in walked)], None)
        state = found[:carried]
        collected.append(found[carried:])
    rows = zip(*collected, strict=True)
    return [*state, *(np.stack([np.asarray(a) for a in row]) for row in rows)]


def _cholesky(a: np.ndarray) -> np.ndarray:
    """Return the lower factor; NaN if the matrix is not positive definite."""
    try:
        return np.linalg.cholesky(a)
    except np.linalg.LinAlgError:
        return np.full_like(a, np.nan)


def _solve(a: np.ndarray, b: np.ndarray, *, lower: bool, transpose: bool, unit: bool) -> np.ndarray:
    """Substitute row by row; `[b, n, n]` and `[b, n, m]`."""
    if transpose:
        a, lower = a.transpose(0, 2, 1), not lower
    n = a.shape[-1]
    x = np.zeros_like(b)
    for i in range(n) if lower else range(n - 1, -1, -1):
        done = slice(0, i) if lower else slice(i + 1, n)
        row = b[:, i] - np.matmul(a[:, i : i + 1, done], x[:, done])[:, 0]
        x[:, i] = row if unit else row / a[:, i, i, None]
    return x
