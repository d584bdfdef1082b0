"""Arrays and plain facts in one `.npz`: portable, checked, never executing anything.

Members are stored, not compressed, so that a small file cannot claim much memory.
"""

from __future__ import annotations

import json
import math
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kalmanrnn.core.atomic_write import atomic_path
from kalmanrnn.core.errors import UserError

META = "__meta__"


def write_npz(path: Path, arrays: Mapping[str, Any], meta: Mapping[str, Any]) -> None:
    """Write named arrays, and facts as JSON."""
    members = {name: np.asarray(a) for name, a in arrays.items()}
    members[META] = np.frombuffer(json.dumps(meta).encode(), np.uint8)
    with atomic_path(path) as beside, open(beside, "wb") as file:
        np.savez(file, allow_pickle=False, **members)
        file.flush()
        os.fsync(file.fileno())


def read_npz(
    path: Path, *, missing: UserError, cure: str
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read what `write_npz` wrote; `missing` is raised where there is no file."""
    try:
        _check_sizes(path)
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        if META not in arrays:
            raise ValueError("it was not written by kalmanrnn")
        meta = json.loads(arrays.pop(META).tobytes())
        if not isinstance(meta, dict):
            raise ValueError("its facts are not a JSON object")
        return arrays, meta
    except (FileNotFoundError, NotADirectoryError):
        raise missing from None
    except (
        *(ValueError, KeyError, OSError, zipfile.BadZipFile, EOFError, NotImplementedError),
        *(RuntimeError, MemoryError, AttributeError, SyntaxError, TypeError, RecursionError),
    ) as problem:
        raise UserError(
            f"{path} is damaged",
            why=f"{type(problem).__name__}: {problem}".splitlines()[0][:160],
            cure=cure,
        ) from None


def _check_sizes(path: Path) -> None:
    """Refuse members that claim more bytes than the file has."""
    size = path.stat().st_size
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if member.compress_type != zipfile.ZIP_STORED or member.file_size > size:
                raise ValueError(f"{member.filename} is compressed or larger than the file")
            with archive.open(member) as file:
                read = {(1, 0): np.lib.format.read_array_header_1_0}.get(
                    np.lib.format.read_magic(file), np.lib.format.read_array_header_2_0
                )
                shape, _, dtype = read(file)
            if math.prod(shape) * dtype.itemsize > member.file_size:
                raise ValueError(f"{member.filename} claims more numbers than it has")
