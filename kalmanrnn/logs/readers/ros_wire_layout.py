"""Byte offsets of the numbers in a ROS message, from its definition and one message."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

# Longer lists (images, point clouds, scans) are not used here, and cost memory.
MAX_LIST = 256
NUMBERS = {
    **{f"int{8 * n}": f"<i{n}" for n in (1, 2, 4, 8)},
    **{f"uint{8 * n}": f"<u{n}" for n in (1, 2, 4, 8)},
    "bool": "|u1",
    "byte": "|i1",
    "octet": "|u1",
    "char": "|u1",
    "float32": "<f4",
    "float64": "<f8",
}
# rosbags' Nodetype, whose values are part of its type definitions.
BASE, NAME, ARRAY, SEQUENCE = 1, 2, 3, 4


class Encoding(NamedTuple):
    """How one type of message is serialised.

    typestore: rosbags'. cdr: ROS 2's encoding, numbers aligned to their size after a header of
    four bytes; else ROS 1's, which is packed.
    """

    typestore: Any
    msgtype: str
    cdr: bool

    def deserialize(self, raw: bytes) -> Any:
        """Return rosbags' message."""
        store = self.typestore
        return (store.deserialize_cdr if self.cdr else store.deserialize_ros1)(raw, self.msgtype)


class Layout(NamedTuple):
    """Offsets of the numbers in messages of one length.

    numbers: a dtype over the whole message. words: a dtype over the same bytes, of what must be
    equal for the layout to hold: byte order, lengths of lists and strings. same: their values.
    """

    numbers: np.dtype
    words: np.dtype
    same: Any


class FieldOffsets(NamedTuple):
    """Offsets found so far: numbers by name, and the words that fix the rest of the layout."""

    numbers: dict[str, tuple[Any, int]]
    words: dict[str, tuple[Any, int]]


def layout_of(encoding: Encoding, raw: bytes) -> Layout | None:
    """Learn the layout from a message that rosbags could decode; None if it has an unknown type."""
    if encoding.cdr and (len(raw) < 4 or raw[1] != 1):
        return None
    offsets = FieldOffsets({}, {"order": ("<u2", 0)} if encoding.cdr else {})
    start = 4 if encoding.cdr else 0
    try:
        end = _walk(encoding, raw, (NAME, encoding.msgtype), start, "", offsets)
    except (KeyError, ValueError):
        return None
    if not raw or end > len(raw):
        return None
    words = _make_dtype(offsets.words, len(raw))
    return Layout(_make_dtype(offsets.numbers, len(raw)), words, np.frombuffer(raw, words)[0])


def is_number(desc: Any) -> bool:
    """Whether a field is a plain number."""
    return desc[0] == BASE and desc[1][0] in NUMBERS


def _make_dtype(fields: dict[str, tuple[Any, int]], size: int) -> np.dtype:
    formats, offsets = [f for f, _ in fields.values()], [at for _, at in fields.values()]
    return np.dtype(
        {"names": list(fields), "formats": formats, "offsets": offsets, "itemsize": size}
    )


def _walk(
    encoding: Encoding, raw: bytes, desc: Any, at: int, name: str | None, offsets: FieldOffsets
) -> int:
    """Walk past one field that starts at `at`; return where the next one starts.

    name: the field's, with dots; None inside lists of messages.
    """
    kind, detail = desc
    if kind == NAME:
        for field, inner in encoding.typestore.get_msgdef(detail).fields:
            inside = f"{name}.{field}" if name else field
            at = _walk(encoding, raw, inner, at, None if name is None else inside, offsets)
        return at
    if is_number(desc):
        return _record_numbers(encoding, NUMBERS[detail[0]], 0, at, name, offsets)
    if kind == BASE and detail[0] == "string":
        size, at = _length(encoding, raw, at, offsets)
        return at + size
    if kind == BASE:
        raise ValueError(f"unknown number type {detail[0]}")
    inner, count = detail
    if kind == SEQUENCE:
        count, at = _length(encoding, raw, at, offsets)
    if count and is_number(inner):
        return _record_numbers(encoding, NUMBERS[inner[1][0]], count, at, name, offsets)
    for _ in range(count):
        at = _walk(encoding, raw, inner, at, None, offsets)
    return at


def _record_numbers(
    encoding: Encoding, form: str, count: int, at: int, name: str | None, offsets: FieldOffsets
) -> int:
    """Record the offset of a number (count 0) or of a list of them."""
    size = np.dtype(form).itemsize
    at = _aligned(encoding, at, size)
    if name is not None and count <= MAX_LIST:
        offsets.numbers[name] = ((form, (count,)) if count else form, at)
    return at + max(count, 1) * size


def _length(encoding: Encoding, raw: bytes, at: int, offsets: FieldOffsets) -> tuple[int, int]:
    """Read the length of a string or list, and record that it must be equal."""
    at = _aligned(encoding, at, 4)
    offsets.words[str(at)] = ("<u4", at)
    return int.from_bytes(raw[at : at + 4], "little"), at + 4


def _aligned(encoding: Encoding, at: int, size: int) -> int:
    # CDR aligns relative to the end of its header of four bytes.
    return at + (4 - at) % size if encoding.cdr else at
