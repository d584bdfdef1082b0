"""One LSTM layer of 64 with its head: generated C, a kernel by hand, onnxruntime from Python."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from kalmanrnn.core.config import StudentConfig
from kalmanrnn.deploy.c.compiled import find_compiler
from kalmanrnn.deploy.c.function import render_function
from kalmanrnn.deploy.c.math_functions import LINEAR, OWN, function_name, helpers
from kalmanrnn.deploy.c.tree import Tables, literal
from kalmanrnn.deploy.ir.program import Program
from kalmanrnn.deploy.ir.tracing import trace
from kalmanrnn.deploy.onnx.model import build_model, open_session
from kalmanrnn.deploy.verification.replay import OPTIONS
from kalmanrnn.models.recurrent import make_core, merge, network_config

FEATURES, OUTPUTS, HIDDEN, STEPS = 24, 45, 64, 64
NAMES = {
    "x_map.kernel": "x_kernel", "x_map.bias": "x_bias", "h_map.kernel": "h_kernel",
    "head_map.kernel": "head_kernel", "head_map.bias": "head_bias",
    "out_map.kernel": "out_kernel", "out_map.bias": "out_bias",
}  # fmt: skip


class Took(NamedTuple):
    """Nanoseconds of a step in each lap or call."""

    generated: np.ndarray
    by_hand: np.ndarray
    onnxruntime: np.ndarray


class Layer(NamedTuple):
    """The network's step as a program, and its weights by the names of the C beside this file."""

    program: Program
    weights: dict[str, np.ndarray]


def layer_of() -> Layer:
    """Trace `network.Core.step` at random weights."""
    config = StudentConfig(hidden=HIDDEN, layers=1)
    graph, params = make_core(FEATURES, OUTPUTS, network_config(config), seed=0)
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda a: a + 0.1 * rng.standard_normal(a.shape, np.float32), params)
    leaves, tree = jax.tree_util.tree_flatten_with_path(params)
    weights = {}
    for path, leaf in leaves:
        words = [str(getattr(p, "key", getattr(p, "name", ""))).strip(".") for p in path]
        found = [c for at, c in NAMES.items() if set(at.split(".")) <= set(words)]
        assert len(found) == 1, words
        weights[found[0]] = np.asarray(leaf, np.float32)
    order = list(weights)

    def step(given, h, c, x):
        params = jax.tree.unflatten(tree, [given[name] for name in order])
        ((h, c),), output = merge(graph, params).step(((h, c),), x)
        return h, c, output

    one = jax.ShapeDtypeStruct((HIDDEN,), np.float32)
    examples = {"h": one, "c": one, "x": jax.ShapeDtypeStruct((FEATURES,), np.float32)}
    return Layer(
        trace(step, "core", examples, ["h_next", "c_next", "output"], weights=weights), weights
    )


def write_c(layer: Layer, inputs: np.ndarray, folder: Path) -> None:
    """Write the generated step, its tables in a file of their own, and what the main reads."""
    tables: Tables = {}
    function = render_function(layer.program, "step", tables)
    kinds = {t.name: "float" if t.array.dtype == np.float32 else "int" for t in tables.values()}
    own = [(f"{kinds[t.name]} {t.name}", t.array) for t in tables.values()]
    head = f"#define FEATURES {FEATURES}\n#define HIDDEN {HIDDEN}\n#define OUTPUTS {OUTPUTS}\n"
    head += f"#define HEAD {layer.weights['head_bias'].size}\n"
    head += "void generated(const float *restrict, const float *restrict, const float *restrict,\n"
    head += "    float *restrict, float *restrict, float *restrict);\n"
    hand = [(f"float {name}", a) for name, a in layer.weights.items()]
    hand.append(("float inputs", inputs))
    head += _externs(hand)
    (folder / "core.h").write_text(head)
    (folder / "tables.c").write_text(_definitions([*own, *hand]))
    used = {k for k in OWN if f"{function_name(k)}(" in function.text}
    used |= {k for k in LINEAR if f"{k}(" in function.text}
    shell = """void generated(const float *restrict h, const float *restrict c,
    const float *restrict x, float *restrict h_out, float *restrict c_out, float *restrict output)
{
    step(h, c, x, h_out, c_out, output);
}"""
    includes = '#include "core.h"\n#include <math.h>\n#include <stdint.h>\n#include <string.h>'
    parts = (includes, _externs(own), helpers(used), function.text, shell)
    (folder / "generated.c").write_text("\n".join(parts) + "\n")


def _externs(arrays: list[tuple[str, np.ndarray]]) -> str:
    return "".join(f"extern const {name}[{a.size}];\n" for name, a in arrays)


def _definitions(arrays: list[tuple[str, np.ndarray]]) -> str:
    rows = (", ".join(literal(v).strip("()") for v in a.ravel()) for _, a in arrays)
    pairs = zip(arrays, rows, strict=True)
    return "".join(f"const {name}[{a.size}] = {{{text}}};\n" for (name, a), text in pairs)


def take_times(folder: Path, laps: int) -> Took:
    """Compile, hold all three to the same answer, and time them one after the other."""
    layer = layer_of()
    rng = np.random.default_rng(1)
    inputs = rng.standard_normal((STEPS, FEATURES), np.float32)
    write_c(layer, inputs, folder)
    sources = [folder / "generated.c", folder / "tables.c", Path(__file__).with_suffix(".c")]
    program = folder / "core"
    command = [find_compiler(), "-std=c99", *OPTIONS, f"-I{folder}", *map(str, sources), "-lm"]
    subprocess.run([*command, "-o", str(program)], check=True)
    done = subprocess.run([program, str(laps)], check=True, capture_output=True, text=True)
    lines = [np.array(line.split(), float) for line in done.stdout.splitlines()]
    calls, last = through_onnxruntime(layer, inputs, laps)
    for name, answer in (("generated", lines[0]), ("by hand", lines[1])):
        # Sums in another order, over 64 steps.
        np.testing.assert_allclose(answer, last, atol=2e-5, err_msg=name)
    c = np.stack(lines[2:])
    return Took(c[:, 0], c[:, 1], calls)


def through_onnxruntime(
    layer: Layer, inputs: np.ndarray, laps: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the nanoseconds per call, mean of each lap, and the last output."""
    names = [port.name for port in layer.program.inputs]
    outputs = [port.name for port in layer.program.outputs]
    session: Any = open_session(
        build_model(layer.program, "core", names, outputs, {}).SerializeToString()
    )
    took, output = [], np.zeros(0)
    for _ in range(max(laps // 10, 5) + 1):
        h = c = np.zeros(HIDDEN, np.float32)
        begin = time.perf_counter()
        for x in inputs:
            h, c, output = session.run(outputs, {"h": h, "c": c, "x": x})
        took.append(1e9 * (time.perf_counter() - begin) / len(inputs))
    return np.array(took[1:]), output
