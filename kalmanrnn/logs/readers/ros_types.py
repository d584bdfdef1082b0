"""Definitions of ROS message types: the bag's own, else those of ROS 2 Humble.

Each topic has its own typestore, so that an unreadable definition costs one topic only.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from kalmanrnn.core.extras import require

IDL_SEPARATOR = "=" * 80 + "\n"


class Definition(NamedTuple):
    """The definition of a connection's type.

    typestore: rosbags', or None. is_fallback: not the bag's own. why: the reason for None.
    """

    typestore: Any
    is_fallback: bool = False
    why: str = ""


def find_definition(path: Path, connection: Any) -> Definition:
    """Find the definition of a connection's type."""
    typesys = require("rosbags.typesys", "logs", f"read {path}")
    if connection.msgdef.format.value:
        store = typesys.get_typestore(typesys.Stores.EMPTY)
        try:
            store.register(_parse_types(typesys, connection))
        # rosbags' parsers raise anything on a damaged definition, RecursionError included.
        except Exception as problem:
            return Definition(None, why=f"its definition cannot be read ({type(problem).__name__})")
    else:
        store = typesys.get_typestore(typesys.Stores.ROS2_HUMBLE)
    if connection.msgtype not in store.fielddefs:
        return Definition(None, why="the bag does not define it")
    return Definition(store, not connection.msgdef.format.value)


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
