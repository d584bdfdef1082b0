"""The versions and the machine that a result depends on."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version

PACKAGES = ("kalmanrnn", "jax", "jaxlib", "flax", "optax", "filterpy", "numpy", "scipy")


def versions() -> dict[str, str]:
    """Name them: python, machine, system, cores, and our packages."""
    found = {"python": platform.python_version(), "machine": platform.machine()}
    found |= {"system": platform.system(), "cores": str(os.cpu_count())}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found
