"""The header: sizes, names, units and statuses, as comment, enums and strings."""

from __future__ import annotations

from typing import Any

from kalmanrnn.deploy.c.sizes import Sizes, carry_of, identifier, sizes_of, target_of
from kalmanrnn.deploy.int8.quantise import scales_of
from kalmanrnn.deploy.machine.machine import Machine

STATUS = {
    "OK": "done",
    "NULL_POINTER": "an argument that must not be NULL was NULL",
    "BAD_TICKS": "n_ticks is negative or above the maximum",
    "NOT_FINITE": "an input is NaN or infinite",
    "BAD_TIME": "a dt is negative",
    "DIVERGED": "the result is not finite",
    "SELFTEST_FAILED": "this build computes other results than the export",
}


def render_header(machine: Machine, name: str, stack: int) -> str:
    """Return NAME.h."""
    up, sizes = name.upper(), sizes_of(machine)
    state = "\n".join(f"    float {port}[{size}];" for port, size in carry_of(machine))
    cov = f"    float cov[{sizes.d * sizes.d}]; /* row-major, in the tangent */\n"
    status = "\n".join(
        f"    {up}_{key} = {i}, /* {text} */" for i, (key, text) in enumerate(STATUS.items())
    )
    return f"""{_about(machine, name, stack)}
#ifndef {up}_H
#define {up}_H

#ifdef __cplusplus
extern "C" {{
#endif

{_sizes(up, sizes)}

enum {{
{status}
}};

{_enums(machine, name, up)}

/* State between events, owned by the caller; one per robot. */
typedef struct {{
{state}
}} {name}_state;

typedef struct {{
    float mean[{sizes.x}]; /* the state, laid out by {up}_X_... */
{cov if sizes.cov else ""}}} {name}_output;

{_functions(name, up, sizes)}

#ifdef __cplusplus
}}
#endif

#endif
"""


def _functions(name: str, up: str, sizes: Sizes) -> str:
    return f"""/* Start from a belief: mean [{sizes.x}], cov [{sizes.d} * {sizes.d}] in the tangent
   at mean, or NULL for the scenario's own. Returns a status. */
int {name}_init({name}_state *state, const float *mean, const float *cov);

/* Take one event: measurements z [{sizes.z}], 0 where not seen, seen [{sizes.s}] 0 or 1, then the
   n_ticks inputs u [n_ticks * {sizes.u}] and their seconds dt [n_ticks] up to the next event.
   The output is the estimate at the event, after its measurements. Returns a status; unless it
   is {up}_OK the state is unchanged. u may be NULL where there are no inputs. */
int {name}_step({name}_state *state, const float *z, const unsigned char *seen, const float *u,
    const float *dt, int n_ticks, {name}_output *output);

/* Replay events recorded at the export; {up}_OK if this build gives the same results. */
int {name}_selftest(void);"""


def _about(machine: Machine, name: str, stack: int) -> str:
    spec = machine.spec
    what = spec["estimator"]
    if what == "student":
        what = f"{spec['student']['student']} student ({spec['student']['cell']})"
    state_bytes = 4 * sum(size for _, size in carry_of(machine))
    lines = [
        f"{name}: {what} for {spec['scenario']['name']}, {spec['scenario']['summary']}.",
        f"Written by kalmanrnn {spec['kalmanrnn']} for {target_of(machine)} targets; do not edit.",
        "",
        f"Axes: world {spec['frames']['world']}; body {spec['frames']['body']}.",
        f"Quaternions {spec['frames']['quaternion']}. SI and radians, float32.",
        "",
        "state (mean):",
        *(f"  {_at(b['state'])} {b['name']} [{b['unit'] or b['kind']}]" for b in spec["blocks"]),
        "tangent (cov):",
        *(f"  {_at(b['tangent'])} {b['name']} [{b['tangent_unit']}]" for b in spec["blocks"]),
        "measurements (z), by sensor (seen):",
        *(_sensor(i, s) for i, s in enumerate(spec["sensors"])),
        "inputs (u), means over a tick:",
        *(f"  {i} {c['name']} [{c['unit']}]" for i, c in enumerate(spec["inputs"])),
        *(["  none"] if not spec["inputs"] else []),
        "",
        f"Event period {1 / spec['event_hz']:g} s, tick period {1 / spec['tick_hz']:g} s, at most",
        f"{spec['max_ticks']} ticks in an event. State {state_bytes} bytes, stack about",
        f"{stack} bytes, {spec['multiply_adds_per_event']} multiply-adds in a full event.",
        *_weights(machine),
        f"{spec['weights']['sha256']}",
    ]
    if spec.get("origin"):
        lines += [
            "",
            f"{spec['origin']['block']} moves with the world's origin: float32 resolves a",
            "centimetre up to 100 km, so subtract a position near the robot first.",
        ]
    body = "\n".join(f" * {line}".rstrip() for line in lines).replace("*/", "")
    return f"/*\n{body}\n */"


def _weights(machine: Machine) -> list[str]:
    """Return lines on the number of weights and how they are stored."""
    weights, scales = machine.spec["weights"], scales_of(machine)
    shapes = {
        machine.step.weights[n]: a.size
        for n, a in machine.step.constants.items()
        if n in machine.step.weights
    }
    stored = sum(shapes[name] for name in scales)
    lines = [f"Weights: {weights['count']} numbers, SHA-256 (as float32)"]
    if scales:
        factors = sum(map(len, scales.values()))
        lines.insert(0, f"{stored} weights are bytes, with {factors} float32 scales.")
    return lines


def _at(span: list[int]) -> str:
    return f"{span[0]}" if span[1] - span[0] == 1 else f"{span[0]}..{span[1] - 1}"


def _sensor(i: int, sensor: dict[str, Any]) -> str:
    channels = ", ".join(
        f"{c['name']} [{c['unit']}] sigma {sigma:g}"
        for c, sigma in zip(sensor["channels"], sensor["sigma"], strict=True)
    )
    head = f"{_at(sensor['columns'])} {sensor['name']} (seen {i}, {sensor['rate_hz']:g} Hz)"
    return f"  {head}: {channels}"


def _sizes(up: str, sizes: Sizes) -> str:
    pairs = {"X": sizes.x, "D": sizes.d, "Z": sizes.z, "SENSORS": sizes.s, "U": sizes.u}
    pairs |= {"MAX_TICKS": sizes.ticks}
    return "\n".join(f"#define {up}_{key} {value}" for key, value in pairs.items())


def names_of(machine: Machine) -> dict[str, list[str]]:
    """Return the names of the elements of mean, z, seen and u, in order."""
    spec = machine.spec
    mean = []
    for block in spec["blocks"]:
        size = block["state"][1] - block["state"][0]
        parts = "xyzw" if size in (3, 4) else [str(i) for i in range(size)]
        mean += [f"{block['name']}_{p}" if size > 1 else block["name"] for p in parts[:size]]
    z = [f"{s['name']}_{c['name']}" for s in spec["sensors"] for c in s["channels"]]
    return {
        "mean": mean,
        "z": z,
        "seen": [s["name"] for s in spec["sensors"]],
        "u": [c["name"] for c in spec["inputs"]],
    }


def _enums(machine: Machine, name: str, up: str) -> str:
    lines = []
    for kind, labels in names_of(machine).items():
        if labels:
            listed = ", ".join(
                f"{up}_{kind.upper()}_{identifier(label).upper()} = {i}"
                for i, label in enumerate(labels)
            )
            lines.append(_wrapped(f"enum {{ {listed} }};"))
    lines.append(f"/* The same as text. */\n{_strings_head(machine, name)}")
    return "\n".join(lines)


def _strings_head(machine: Machine, name: str) -> str:
    return "\n".join(
        f"extern const char *const {name}_{kind}_names[{len(labels)}];"
        for kind, labels in names_of(machine).items()
        if labels
    )


def _wrapped(text: str) -> str:
    lines, line = [], ""
    for part in text.split(" "):
        if len(line) + len(part) > 90:
            lines.append(line)
            line = "   "
        line = f"{line} {part}" if line else part
    return "\n".join([*lines, line])
