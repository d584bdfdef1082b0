"""The C source: constants, helpers, the two programs, and the guarded functions around them."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np

from kalmanrnn.deploy.c.function import Function, render_function
from kalmanrnn.deploy.c.header import names_of
from kalmanrnn.deploy.c.math_functions import LINEAR, OWN, function_name, helpers
from kalmanrnn.deploy.c.sizes import Sizes, carry_of, identifier, sizes_of, target_of
from kalmanrnn.deploy.c.tree import Table, Tables, literal
from kalmanrnn.deploy.int8.quantise import scales_of
from kalmanrnn.deploy.ir.program import Port, Program
from kalmanrnn.deploy.machine.machine import Machine

# Compilers need stack beside the arrays; gcc 12 takes 6 to 8 % of theirs.
STACK_MARGIN = 1.1
TABLE_TYPE = {"f4": "float", "i4": "int", "i1": "int8_t"}
FLOATS = """static int all_finite(const float *x, int n)
{
    int fine = 1;
    for (int i = 0; i < n; ++i) {
        /* By its bits: -ffast-math cannot take this away. */
        uint32_t bits;
        (void)memcpy(&bits, x + i, sizeof bits);
        fine &= (bits & 0x7f800000u) != 0x7f800000u;
    }
    return fine;
}"""


def render_sources(machine: Machine, name: str) -> tuple[str, str, int]:
    """Return NAME.c, NAME_weights.c and the stack of a step in bytes."""
    tables: Tables = {}
    how: dict[str, Any] = {"target": target_of(machine), "scales": scales_of(machine)}
    step = render_function(machine.step, "step", tables, **how)
    init = render_function(machine.init, "init", tables, **how)
    sizes = sizes_of(machine)
    bodies = f"{step.text}\n\n{init.text}"
    # Drop float tables that were replaced by bytes.
    read = set(re.findall(r"\bt\d+\b", bodies))
    tables = {key: table for key, table in tables.items() if table.name in read}
    own, weights = render_tables(name, tables)
    for table in tables.values():
        if table.weight:
            bodies = _renamed(bodies, table.name, _weight_name(name, table))
    parts = [
        f'/* {name}: see {name}.h. Written by kalmanrnn; do not edit. */\n#include "{name}.h"',
        "#include <math.h>\n#include <stdint.h>\n#include <string.h>",
        "\n".join(f"extern const {head};" for head, _ in weights),
        "\n".join(f"static const {head} = {{{body}}};" for head, body in own),
        _strings(machine, name),
        FLOATS,
        helpers(helpers_used(bodies)),
        bodies,
        _init(machine, name, sizes, init),
        _step(machine, name, sizes, step),
    ]
    text = "\n\n".join(part for part in parts if part) + "\n"
    of_weights = "\n\n".join(f"const {head} = {{{body}}};" for head, body in weights)
    externs = "\n".join(f"extern const {head};" for head, _ in weights)
    comment = f"/* Weights of {name}. Written by kalmanrnn; do not edit. */"
    empty = f"extern const int {name}_no_weights;\nconst int {name}_no_weights = 0;"
    comment += "\n#include <stdint.h>\n" if "int8_t" in externs else ""
    file = f"{comment}\n{externs}\n\n{of_weights}\n" if weights else f"{comment}\n{empty}\n"
    border = 4 * (sum(n for _, n in carry_of(machine)) + sizes.z + sizes.s)
    arrays = step.stack + border + 4 * sizes.ticks * (sizes.u + 1)
    return text, file, 64 * math.ceil(STACK_MARGIN * arrays / 64)


def helpers_used(bodies: str) -> set[str]:
    """Return our own functions that a text calls."""
    used = {k for k in OWN if f"{function_name(k)}(" in bodies}
    return used | {k for k in LINEAR if f"{k}(" in bodies}


def _renamed(text: str, old: str, new: str) -> str:
    return re.sub(rf"\b{old}\b", new, text)


def _weight_name(name: str, table: Table) -> str:
    return f"{name}_{identifier(table.weight)}_{table.name}"


def render_tables(name: str, tables: Tables) -> tuple[list, list]:
    """Return (head, body) of the tables, and of the weights among them."""
    own, weights = [], []
    for table in tables.values():
        kind = TABLE_TYPE[table.array.dtype.kind + str(table.array.dtype.itemsize)]
        numbers = [literal(value).strip("()") for value in table.array.ravel()]
        rows = [", ".join(numbers[i : i + 8]) for i in range(0, len(numbers), 8)]
        body = "\n    " + ",\n    ".join(rows) + "\n"
        label = _weight_name(name, table) if table.weight else table.name
        (weights if table.weight else own).append((f"{kind} {label}[{len(numbers)}]", body))
    return own, weights


def _strings(machine: Machine, name: str) -> str:
    lines = []
    for kind, labels in names_of(machine).items():
        if labels:
            listed = ",\n    ".join(f'"{label}"' for label in labels)
            head = f"const char *const {name}_{kind}_names[{len(labels)}]"
            lines.append(f"{head} = {{\n    {listed}\n}};")
    return "\n".join(lines)


def _arguments(program: Program, inputs: dict[str, str], outputs: str, function: Function) -> str:
    parts = [inputs.get(p.name, f"state->{p.name}") for p in program.inputs]
    parts += [_where(p, outputs) for p in program.outputs]
    return ", ".join([*parts, *(["n_ticks"] if function.counted else [])])


def _where(port: Port, state: str) -> str:
    return f"output->{port.name}" if port.name in ("mean", "cov") else f"{state}{port.name}"


def _checks(machine: Machine, up: str, more: str = "") -> str:
    """Refuse a result that is not finite before the state is changed."""
    parts = [f"all_finite(next.{port}, {size})" for port, size in carry_of(machine)]
    text = "\n        || ".join(f"!{part}" for part in parts) + more
    return f"    if ({text})\n        return {up}_DIVERGED;"


def _init(machine: Machine, name: str, sizes: Sizes, init: Function) -> str:
    up, dims = name.upper(), sizes.d * sizes.d
    given = {"mean": "my_mean", "cov": "my_cov"}
    arguments = ", ".join(
        [*(given[p.name] for p in machine.init.inputs)]
        + [f"next.{p.name}" for p in machine.init.outputs]
    )
    std = ", ".join(literal(np.float32(s)) for s in machine.spec["initial_std"])
    return f"""int {name}_init({name}_state *state, const float *mean, const float *cov)
{{
    static const float first_std[{sizes.d}] = {{{std}}};
    float my_mean[{sizes.x}];
    float my_cov[{dims}];
    {name}_state next;
    if (!state || !mean)
        return {up}_NULL_POINTER;
    (void)memcpy(my_mean, mean, sizeof my_mean);
    if (cov != NULL)
        (void)memcpy(my_cov, cov, sizeof my_cov);
    else
        for (int i = 0; i < {sizes.d}; ++i)
            for (int j = 0; j < {sizes.d}; ++j)
                my_cov[{sizes.d} * i + j] = i == j ? first_std[i] * first_std[i] : 0.0f;
    if (!all_finite(my_mean, {sizes.x}) || !all_finite(my_cov, {dims}))
        return {up}_NOT_FINITE;
    init({arguments});
{_checks(machine, up)}
    *state = next;
    return {up}_OK;
}}"""


def _step(machine: Machine, name: str, sizes: Sizes, step: Function) -> str:
    up = name.upper()
    given = {"z": "my_z", "seen": "my_seen", "u": "my_u", "dt": "my_dt"}
    output = f"\n        || !all_finite(output->mean, {sizes.x})"
    if sizes.cov:
        output += f"\n        || !all_finite(output->cov, {sizes.d * sizes.d})"
    inputs = f"    float my_u[{sizes.ticks * sizes.u}] = {{0.0f}};\n" if sizes.u else ""
    u_copy = f"(void)memcpy(my_u, u, {sizes.u} * (size_t)n_ticks * sizeof *my_u);"
    u_copy = f"        {u_copy}\n" if sizes.u else ""
    u_fine = f" || !all_finite(my_u, {sizes.u} * n_ticks)" if sizes.u else ""
    unused = "" if sizes.u else "    (void)u;\n"
    missing = "!u || !dt" if sizes.u else "!dt"
    ports = {p.name for p in machine.step.inputs}
    unused += "".join(f"    (void){given[k]};\n" for k in ("z", "seen", "dt") if k not in ports)
    return f"""int {name}_step({name}_state *state, const float *z, const unsigned char *seen,
    const float *u, const float *dt, int n_ticks, {name}_output *output)
{{
    float my_z[{sizes.z}];
    int my_seen[{sizes.s}];
{inputs}    float my_dt[{sizes.ticks}] = {{0.0f}};
    {name}_state next;
    if (!state || !z || !seen || !output || (n_ticks > 0 && ({missing})))
        return {up}_NULL_POINTER;
    if (n_ticks < 0 || n_ticks > {sizes.ticks})
        return {up}_BAD_TICKS;
    /* Copies: arguments may be unaligned, and ticks that are not given count as zeros. */
    (void)memcpy(my_z, z, sizeof my_z);
    for (int i = 0; i < {sizes.s}; ++i)
        my_seen[i] = seen[i] != 0;
    if (n_ticks > 0) {{
{u_copy}        (void)memcpy(my_dt, dt, (size_t)n_ticks * sizeof *my_dt);
    }}
    if (!all_finite(my_z, {sizes.z}) || !all_finite(my_dt, n_ticks){u_fine})
        return {up}_NOT_FINITE;
    for (int i = 0; i < n_ticks; ++i)
        if (my_dt[i] < 0.0f)
            return {up}_BAD_TIME;
{unused}    step({_arguments(machine.step, given, "next.", step)});
{_checks(machine, up, output)}
    *state = next;
    return {up}_OK;
}}"""
