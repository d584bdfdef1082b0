"""Definitions of ROS message types: from the bag, or those that everybody knows.

Each topic has a typestore of its own, so that a definition nobody can read costs one topic.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from kalmanrnn.core.extras import require

IDL_SEPARATOR = "=" * 80 + "\n"


class Definition(NamedTuple):
    """What is known of a connection's type.

    typestore: rosbags', None where nothing is known. is_fallback: it is not the bag's own.
    why: what is wrong where there is no typestore.
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
        # rosbags' parsers meet a damaged definition as anything, RecursionError among it.
        except Exception as problem:
            return Definition(None, why=f"its definition cannot be read ({type(problem).__name__})")
    else:
        store = typesys.get_typestore(typesys.Stores.ROS2_HUMBLE)
    if connection.msgtype not in store.fielddefs:
        return Definition(None, why="the bag does not find_definition it")
    return Definition(store, not connection.msgdef.format.value)


def _parse_types(typesys: Any, connection: Any) -> dict[str, Any]:
    form, text = connection.msgdef
    if form.name == "MSG":
        return typesys.get_types_from_msg(text, connection.msgtype)
    if not text.startswith(f"{IDL_SEPARATOR}IDL: "):
        return typesys.get_types_from_idl(text)
    found: dict[str, Any] = {}
    for part in text.split(IDL_SEPARATOR)[1:]:
        # Its first line names the file that it came from.
        found |= typesys.get_types_from_idl(part.partition("\n")[2])
    return found
