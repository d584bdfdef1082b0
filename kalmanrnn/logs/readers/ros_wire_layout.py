"""Where the numbers of a ROS message lie, from its definition and one message."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

# Longer lists (pictures, clouds, scans) are no sensor's reading here, and cost memory.
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
    """How one type of message is written.

    typestore: rosbags'. cdr: ROS 2's encoding, numbers aligned to their size behind a header of
    four bytes; without it ROS 1's, which is packed.
    """

    typestore: Any
    msgtype: str
    cdr: bool

    def deserialize(self, raw: bytes) -> Any:
        """Return rosbags' message."""
        store = self.typestore
        return (store.deserialize_cdr if self.cdr else store.deserialize_ros1)(raw, self.msgtype)


class Layout(NamedTuple):
    """Where numbers lie in messages of one length.

    numbers: a dtype over the whole message. words: a dtype over the same bytes, of what must
    repeat for the layout to hold: byte order, lengths of lists and strings. same: their values.
    """

    numbers: np.dtype
    words: np.dtype
    same: Any


class FieldOffsets(NamedTuple):
    """What a walk through a message has offsets: numbers by name, words that fix what follows."""

    numbers: dict[str, tuple[Any, int]]
    words: dict[str, tuple[Any, int]]


def layout_of(encoding: Encoding, raw: bytes) -> Layout | None:
    """Learn the layout from a message that rosbags could read; None where it is unknown to us."""
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
    """Whether a field's description is that of a plain number."""
    return desc[0] == BASE and desc[1][0] in NUMBERS


def _make_dtype(fields: dict[str, tuple[Any, int]], size: int) -> np.dtype:
    formats, offsets = [f for f, _ in fields.values()], [at for _, at in fields.values()]
    return np.dtype(
        {"names": list(fields), "formats": formats, "offsets": offsets, "itemsize": size}
    )


def _walk(
    encoding: Encoding, raw: bytes, desc: Any, at: int, name: str | None, offsets: FieldOffsets
) -> int:
    """Go past one field that starts at a place; return the next place.

    name: the field's, with its dots; None inside lists of messages, which have none.
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
        raise ValueError(f"numbers of type {detail[0]} are unknown")
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
    """Put down a number (count 0) or a list of them."""
    size = np.dtype(form).itemsize
    at = _aligned(encoding, at, size)
    if name is not None and count <= MAX_LIST:
        offsets.numbers[name] = ((form, (count,)) if count else form, at)
    return at + max(count, 1) * size


def _length(encoding: Encoding, raw: bytes, at: int, offsets: FieldOffsets) -> tuple[int, int]:
    """Read the length of a string or list, and put down that it must repeat."""
    at = _aligned(encoding, at, 4)
    offsets.words[str(at)] = ("<u4", at)
    return int.from_bytes(raw[at : at + 4], "little"), at + 4


def _aligned(encoding: Encoding, at: int, size: int) -> int:
    # CDR counts from behind its header of four bytes.
    return at + (4 - at) % size if encoding.cdr else at
