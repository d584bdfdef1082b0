"""Worker processes that import no caller's main module and end with their parent.

loky and not multiprocessing: with it scripts and notebooks need no `if __name__` guard, and
objects defined in them travel by cloudpickle.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable

from loky import ProcessPoolExecutor

CHECK_EVERY_S = 1.0


def worker_pool(
    count: int,
    initializer: Callable[[], None] | None = None,
    *,
    idle_s: float | None = None,
) -> ProcessPoolExecutor:
    """Return a pool of processes on the CPU: filters are float64, an accelerator is not theirs.

    idle_s: seconds after which a worker without work exits; another starts when needed.
    """
    return ProcessPoolExecutor(
        count,
        timeout=idle_s,
        initializer=_init,
        initargs=(initializer,),
        env={"JAX_PLATFORMS": "cpu"},
    )


def _init(initializer: Callable[[], None] | None) -> None:
    """Leave Ctrl-C to the parent, and exit when it is gone, even if it was killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_exit_with_parent, args=(os.getppid(),), daemon=True).start()
    if initializer is not None:
        initializer()


def _exit_with_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(CHECK_EVERY_S)
    os._exit(1)
