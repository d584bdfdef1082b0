"""Read many mutations of one file in a bounded process; print what came of each as JSON.

`python fuzz_worker.py FILE COUNT SEED`. A result and a UserError are both fine; the rest is told
with its traceback.
"""

from __future__ import annotations

import collections
import json
import re
import resource
import signal
import sys
import tempfile
import traceback
import zlib
from pathlib import Path

import numpy as np

from kalmanrnn.core.errors import UserError
from kalmanrnn.logs.readers.open_log import open_log
from kalmanrnn.logs.readers.readings import no_progress
from kalmanrnn.logs.recording.recording import load_recording

MEMORY_BYTES = 1 << 30
# Of processor time: a busy machine is no hang.
SECONDS = 5


class TooLongError(BaseException):
    """Raised by the timer; no `except Exception` may hold it up."""


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """Flip bits, cut, swap blocks, insert bytes: one of them, or two."""
    for _ in range(rng.integers(1, 3)):
        data = MUTATIONS[rng.integers(len(MUTATIONS))](data, rng)
    return data


def flipped(data: bytes, rng: np.random.Generator) -> bytes:
    array = bytearray(data)
    for place in rng.integers(0, len(data), rng.integers(1, 17)) if data else ():
        array[place] ^= 1 << int(rng.integers(8))
    return bytes(array)


def cut(data: bytes, rng: np.random.Generator) -> bytes:
    return data[: rng.integers(0, len(data) + 1)]


def swapped(data: bytes, rng: np.random.Generator) -> bytes:
    a, b, c = sorted(rng.integers(0, len(data) + 1, 3))
    return data[:a] + data[b:c] + data[a:b] + data[c:]


def inserted(data: bytes, rng: np.random.Generator) -> bytes:
    at = rng.integers(0, len(data) + 1)
    filling = rng.bytes(16), b"\xff" * 8, b"\0" * 8, b"9" * 6, b"\n", b","
    return data[:at] + filling[rng.integers(len(filling))] + data[at:]


def overwritten(data: bytes, rng: np.random.Generator) -> bytes:
    """Put a great number where a length may stand."""
    at = rng.integers(0, len(data) + 1)
    size = (4, 8)[rng.integers(2)]
    value = int(2 ** rng.uniform(16, 8 * size))
    return data[:at] + value.to_bytes(size + 1, "little")[:size] + data[at + size :]


MUTATIONS = (flipped, cut, swapped, inserted, overwritten)


def read(path: Path) -> None:
    """Read everything that a file offers."""
    if path.suffix == ".npz":
        load_recording(path)
        return
    source = open_log(path)
    for readings in source.read([topic.name for topic in source.topics], no_progress):
        assert readings.log_t.shape == (readings.topic.count,)
        assert all(len(a) == readings.topic.count for a in readings.fields.values())


def outcome(path: Path) -> tuple[str, str]:
    """Return what came of one file: read, refused, or how it broke."""
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        read(path)
        return "read", ""
    except UserError as problem:
        return ("refused" if str(problem).count("\n") == 2 else "broken"), str(problem)
    except TooLongError:
        return "slow", traceback.format_exc()
    except Exception:
        return "broken", traceback.format_exc()
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def main() -> None:
    source, count, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])

    def too_long(*_: object) -> None:
        raise TooLongError

    signal.signal(signal.SIGPROF, too_long)
    # The file itself is read first: whatever is imported for it does not count.
    told = collections.Counter([outcome(source)[0]])
    assert told == {"read": 1}, outcome(source)
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + MEMORY_BYTES,) * 2)
    told.clear()
    data, bad = source.read_bytes(), []
    with tempfile.TemporaryDirectory() as folder:
        for i in range(count):
            rng = np.random.default_rng([seed, i, zlib.crc32(source.suffix.encode())])
            path = Path(folder, f"{i}{source.suffix}")
            path.write_bytes(mutated(data, rng))
            kind, why = outcome(path)
            path.unlink()
            told[kind] += 1
            if kind in ("slow", "broken"):
                bad.append({"mutation": i, "what": kind, "why": why})
    # Not ru_maxrss, which this process would inherit from whoever started it.
    peak = int(re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[0]) * 1024
    print(json.dumps({**told, "bad": bad, "peak_bytes": peak}))


if __name__ == "__main__":
    main()
