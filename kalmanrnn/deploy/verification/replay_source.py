"""A C main that replays events from a file through an exported estimator and times them."""

from __future__ import annotations

from kalmanrnn.deploy.c.sizes import Sizes, identifier, sizes_of
from kalmanrnn.deploy.machine.machine import Machine

# Short enough that few are interrupted on a busy machine.
SEGMENT = 16


def render_main(machine: Machine, events: int, drives: int) -> str:
    """Return a C program `replay EVENTS.bin SECONDS`.

    It prints how many events were refused in a lap, the segments in a lap, and then each lap's
    nanoseconds by segment. The first lap warms up and is not printed.
    """
    name, sizes = identifier(machine.name), sizes_of(machine)
    arrays = [
        ("float", "z", events, sizes.z),
        ("unsigned char", "seen", events, sizes.s),
        ("float", "u", events, sizes.ticks * sizes.u),
        ("float", "dt", events, sizes.ticks),
        ("int", "ticks", events, 1),
        ("int", "starts", events, 1),
        ("float", "mean", drives, sizes.x),
        ("float", "cov", drives, sizes.d**2),
    ]
    used = [(kind, label, n, each) for kind, label, n, each in arrays if each]
    static = "\n".join(f"static {kind} {label}[{n * each}];" for kind, label, n, each in used)
    reads = " || ".join(f"fread({a}, sizeof {a}, 1, f) != 1" for _, a, _, _ in used)
    return f"""/* Written by kalmanrnn; do not edit. */
#define _POSIX_C_SOURCE 199309L
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "{name}.h"

{static}
static volatile float sink;

static double now(void)
{{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e9 * (double)t.tv_sec + (double)t.tv_nsec;
}}

{_lap(name, sizes, events)}

{_main(reads, events)}
"""


def _lap(name: str, sizes: Sizes, events: int) -> str:
    dims = sizes.d * sizes.d
    u = f"u + {sizes.ticks * sizes.u} * e" if sizes.u else "0"
    return f"""/* One lap, printed by segment on request. Returns how many events were refused. */
static int lap(int print)
{{
    static {name}_state state;
    static {name}_output output;
    int refused = 0, drive = -1;
    for (int first = 0; first < {events};) {{
        int last = first;
        if (starts[first]) {{
            ++drive;
            refused += {name}_init(&state, mean + {sizes.x} * drive, cov + {dims} * drive) != 0;
        }}
        double begin = now();
        do {{
            const int e = last++;
            refused += {name}_step(&state, z + {sizes.z} * e, seen + {sizes.s} * e, {u},
                dt + {sizes.ticks} * e, ticks[e], &output) != 0;
        }} while (last < {events} && last - first < {SEGMENT} && !starts[last]);
        double took = now() - begin;
        sink = output.mean[0];
        if (print)
            printf("%.0f ", took);
        first = last;
    }}
    return refused;
}}"""


def _main(reads: str, events: int) -> str:
    return f"""int main(int argc, char **argv)
{{
    FILE *f = argc == 3 ? fopen(argv[1], "rb") : 0;
    int segments = 0, from = 0;
    if (!f || {reads})
        return 1;
    for (int e = 0; e < {events}; ++e)
        if (starts[e] || e - from == {SEGMENT}) {{
            ++segments;
            from = e;
        }}
    printf("%d %d\\n", lap(0), segments);
    double until = now() + 1e9 * atof(argv[2]);
    for (int laps = 0; laps < 3 || now() < until; ++laps) {{
        lap(1);
        printf("\\n");
    }}
    return 0;
}}"""
