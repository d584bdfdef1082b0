"""An estimator's C on an emulated Cortex-M4: instructions per event, flash and RAM in bytes.

QEMU's `mps2-an386` with `-icount shift=0`: each instruction takes one nanosecond of the board's
own clock, so SysTick at 25 MHz counts every fortieth. Instructions, not cycles: a real M4 takes
more than one for divisions, for loads and for what its flash makes it wait.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kalmanrnn.deploy.c import source_files
from kalmanrnn.deploy.c.selftest import Record
from kalmanrnn.deploy.c.sizes import carry_of, identifier, sizes_of
from kalmanrnn.deploy.c.tree import literal
from kalmanrnn.deploy.machine.machine import Machine

HERE = Path(__file__).parent
COMPILER, SIZE, EMULATOR = "arm-none-eabi-gcc", "arm-none-eabi-size", "qemu-system-arm"
PACKAGES = "gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm"
TARGET = ("-mcpu=cortex-m4", "-mthumb", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard")
# Sums fused as the export's own CMake file has them.
FUSED = ("-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math")
OPTIONS = (*TARGET, "-std=c99", "-O2", *FUSED, "-ffunction-sections", "-fdata-sections")
LINK = ("-nostartfiles", "--specs=nosys.specs", "-Wl,--gc-sections", f"-Wl,-T{HERE / 'link.ld'}")
BOARD = (EMULATOR, "-M", "mps2-an386", "-icount", "shift=0", "-nographic", "-monitor", "none")
TWO_MILLION = 2_000_000


class OnBoard(NamedTuple):
    """What an estimator takes on the board.

    instructions, most: per event, their mean and the most. flash: bytes of code and constants
    with what they need of the C library. ram: bytes of state, output and stack. stack: bytes
    that a step was seen to write on. selftest: its status, 0 if it passed.
    """

    instructions: int
    most: int
    flash: int
    ram: int
    stack: int
    selftest: int


class BoardError(Exception):
    """The program on the board ended with a status; the text is its output."""


def lacking() -> str:
    """Return why nothing can be emulated here, "" if it can."""
    missing = [tool for tool in (COMPILER, SIZE, EMULATOR) if not shutil.which(tool)]
    return f"no {', '.join(missing)}: apt install {PACKAGES}" if missing else ""


def measure(machine: Machine, recorded: Record, folder: Path) -> OnBoard:
    """Write, compile and emulate a machine in a folder of its own."""
    source_files.write_sources(machine, folder, recorded)
    (folder / "events.h").write_text(events_text(machine, recorded))
    name = identifier(machine.name)
    own = [f"{name}.c", f"{name}_weights.c"]
    program = compiled(folder, "board", [*own, f"{name}_selftest.c", HERE / "main.c"])
    printed = run(program)
    assert printed["two_million"] == TWO_MILLION, "the board's counter does not count instructions"
    image = _text(compiled(folder, "image", [*own, HERE / "image.c"]))
    least = _text(compiled(folder, "least", [HERE / "image.c"], "-DWITHOUT"))
    held = 4 * sum(size for _, size in carry_of(machine)) + 4 * _output(machine)
    return OnBoard(
        instructions=printed["instructions"],
        most=printed["most"],
        flash=image - least,
        ram=held + printed["stack"],
        stack=printed["stack"],
        selftest=printed["selftest"],
    )


def events_text(machine: Machine, recorded: Record) -> str:
    """Return events.h: the record as constant arrays, and the names that main.c goes by."""
    name, sizes, ticks = identifier(machine.name), sizes_of(machine), recorded.dt.shape[1]
    real = (np.arange(1, ticks + 1) * (recorded.dt > 0)).max(axis=1)
    lengths = {"X": sizes.x, "D": sizes.d, "Z": sizes.z, "S": sizes.s, "U": sizes.u, "K": ticks}
    lengths["EVENTS"] = len(recorded.z)
    lines = [f"#define NAME {name}", f'#include "{name}.h"']
    lines += [f"#define {key} {value}" for key, value in lengths.items()]
    for label in ("mean", "cov", "z", "u", "dt"):
        numbers = ", ".join(literal(v).strip("()") for v in _flat(getattr(recorded, label)))
        lines.append(f"__attribute__((unused)) static const float {label}[] = {{{numbers}}};")
    for kind, label, values in (("unsigned char", "seen", recorded.seen), ("int", "ticks", real)):
        numbers = ", ".join(str(int(v)) for v in values.ravel())
        lines.append(f"__attribute__((unused)) static const {kind} {label}[] = {{{numbers}}};")
    return "\n".join(lines) + "\n"


def compiled(folder: Path, label: str, sources: list, *options: str) -> Path:
    """Compile and link a program for the board."""
    program = folder / f"{label}.elf"
    files = [str(folder / s) if isinstance(s, str) else str(s) for s in sources]
    files += [str(HERE / "startup.c"), "-lm"]
    include = (f"-I{folder}", f"-I{HERE}")
    _done([COMPILER, *OPTIONS, *include, *options, *LINK, "-o", str(program), *files])
    return program


def run(program: Path, timeout_s: float = 120.0) -> dict[str, int]:
    """Emulate a program; return the numbers it printed, by key."""
    semihosting = ("-semihosting-config", "enable=on,target=native")
    command = [*BOARD, *semihosting, "-kernel", str(program)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=timeout_s,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    # Semihosting writes on the standard error.
    pairs = [line.split() for line in (done.stdout + done.stderr).splitlines()]
    printed = {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}
    if done.returncode:
        raise BoardError(f"exit code {done.returncode}: {done.stdout}{done.stderr}")
    return printed


def _output(machine: Machine) -> int:
    sizes = sizes_of(machine)
    return sizes.x + sizes.d * sizes.d * sizes.cov


def _flat(values: np.ndarray) -> np.ndarray:
    # C knows no empty array.
    return values.ravel().astype(np.float32) if values.size else np.zeros(1, np.float32)


def _text(program: Path) -> int:
    text, data, *_ = _done([SIZE, str(program)]).splitlines()[1].split()
    return int(text) + int(data)


def _done(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def versions() -> str:
    """Name the compiler and the emulator."""
    return ", ".join(_done([tool, "--version"]).splitlines()[0] for tool in (COMPILER, EMULATOR))
