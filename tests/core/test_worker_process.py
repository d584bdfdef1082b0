"""Workers end with their parent, whatever ends it."""

import os
import subprocess
import sys
import time

import pytest

SCRIPT = """
import os, signal, time
from kalmanrnn.core.worker_process import worker_pool
pool = worker_pool(1)
print(pool.submit(os.getpid).result(), flush=True)
pool.submit(time.sleep, 60)
time.sleep(0.5)
os.kill(os.getpid(), signal.{signal})
"""


def gone(pid: int, within_s: float) -> bool:
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.2)
    return False


@pytest.mark.parametrize("signal", ["SIGKILL", "SIGTERM"])
def test_a_worker_ends_with_its_parent_even_at_work(signal):
    """A killed parent closes no queue: a busy worker once stayed for good."""
    command = [sys.executable, "-c", SCRIPT.format(signal=signal)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode < 0
    # It looks every second.
    assert gone(int(done.stdout), within_s=15.0)
