"""Decode the number fields of many ROS messages at once.

Messages with equal list lengths share a layout. rosbags decodes the first of each layout and
two more, which must agree; messages of no known layout it decodes one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kalmanrnn.logs.readers.ros_wire_layout import (
    ARRAY,
    BASE,
    MAX_LIST,
    NAME,
    NUMBERS,
    SEQUENCE,
    Encoding,
    is_number,
    layout_of,
)

MAX_LAYOUTS = 8


def decode(encoding: Encoding, raws: Sequence[bytes]) -> dict[str, np.ndarray]:
    """Return number fields `[n]` and `[n, k]` by flat name, those that all messages have."""
    lengths = np.fromiter(map(len, raws), int, len(raws))
    parts = []
    for length in np.unique(lengths):
        left = np.flatnonzero(lengths == length)
        for _ in range(MAX_LAYOUTS):
            if len(left):
                taken, fields = _decode_alike(encoding, raws, left)
                parts.append((taken, fields))
                left = np.setdiff1d(left, taken, assume_unique=True)
        parts += [(left[i : i + 1], _decode_one(encoding, raws[left[i]])) for i in range(len(left))]
    return _join(parts, len(raws))


def _decode_alike(
    encoding: Encoding, raws: Sequence[bytes], rows: np.ndarray
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Decode the rows `[m]` that share the first one's layout; return them and their fields."""
    first = _decode_one(encoding, raws[rows[0]])
    layout = layout_of(encoding, raws[rows[0]])
    if layout is None:
        return rows[:1], first
    joined = b"".join([raws[i] for i in rows])
    fits = np.frombuffer(joined, layout.words) == layout.same
    found = np.frombuffer(joined, layout.numbers)[fits]
    fields = {name: found[name].astype(float) for name in layout.numbers.names or ()}
    taken = rows[fits]
    for i in {0, len(taken) // 2, len(taken) - 1}:
        known = _decode_one(encoding, raws[taken[i]])
        if known.keys() != fields.keys() or not all(
            np.array_equal(fields[k][i], known[k][0], equal_nan=True) for k in known
        ):
            return rows[:1], first
    return taken, fields


def _decode_one(encoding: Encoding, raw: bytes) -> dict[str, np.ndarray]:
    """Return the fields of one message, `[1]` and `[1, k]`, as rosbags decodes it."""
    fields: dict[str, np.ndarray] = {}
    store = encoding.typestore

    def collect(msgtype: str, message: Any, prefix: str) -> None:
        for name, (kind, detail) in store.get_msgdef(msgtype).fields:
            value = getattr(message, name)
            if kind == NAME:
                collect(detail, value, f"{prefix}{name}.")
            elif kind == BASE and detail[0] in NUMBERS:
                fields[prefix + name] = np.array([value], float)
            elif kind in (ARRAY, SEQUENCE) and is_number(detail[0]) and 0 < len(value) <= MAX_LIST:
                fields[prefix + name] = np.array(value, float)[None]

    collect(encoding.msgtype, encoding.deserialize(raw), "")
    return fields


def _join(
    parts: Sequence[tuple[np.ndarray, dict[str, np.ndarray]]], count: int
) -> dict[str, np.ndarray]:
    """Put parts in file order; keep the fields that all have in one shape."""
    names = [
        name
        for name, a in parts[0][1].items()
        if all(name in f and f[name].shape[1:] == a.shape[1:] for _, f in parts)
    ]
    joined = {name: np.empty((count, *parts[0][1][name].shape[1:])) for name in names}
    for rows, fields in parts:
        for name in names:
            joined[name][rows] = fields[name]
    return joined
