"""Definitions of ROS message types: the bag's own, else those of ROS 2 Humble.

Each topic has its own typestore, so that an unreadable definition costs one topic only.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from kalmanrnn.core.extras import require

IDL_SEPARATOR = "=" * 80 + "\n"


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


def find_types(path: Path, connection: Any) -> tuple[Any, str]:
    """Find the definition of a connection's type: rosbags' typestore, or None and the reason."""
    typesys = require("rosbags.typesys", "logs", f"read {path}")
    if connection.msgdef.format.value:
        store = typesys.get_typestore(typesys.Stores.EMPTY)
        try:
            store.register(_parse_types(typesys, connection))
        # rosbags' parsers raise anything on a damaged definition, RecursionError included.
        except Exception as problem:
            return None, f"its definition cannot be read ({type(problem).__name__})"
    else:
        store = typesys.get_typestore(typesys.Stores.ROS2_HUMBLE)
    if connection.msgtype not in store.fielddefs:
        return None, "the bag does not define it"
    return store, ""


def _parse_types(typesys: Any, connection: Any) -> dict[str, Any]:
    form, text = connection.msgdef
    if form.name == "MSG":
        return typesys.get_types_from_msg(text, connection.msgtype)
    if not text.startswith(f"{IDL_SEPARATOR}IDL: "):
        return typesys.get_types_from_idl(text)
    found: dict[str, Any] = {}
    for part in text.split(IDL_SEPARATOR)[1:]:
        # The first line names the file it came from.
        found |= typesys.get_types_from_idl(part.partition("\n")[2])
    return found
