"""Let the reference list what docstrings say of parameters and fields, a line for each.

Docstrings hold `name: meaning` sentences in running text, which Markdown would run together.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

FIELD = re.compile(r"(?:^|(?<=[.;] ))(\w+(?:, \w+)*): ")


class Fields(griffe.Extension):
    """Turn `name: meaning` of an object's own parameters and fields into a list."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite a docstring before it is rendered."""
        if obj.docstring is None or not (obj.is_class or obj.is_function):
            return
        names = {p.name.lstrip("*") for p in getattr(obj, "parameters", ())} | set(obj.members)
        paragraphs = obj.docstring.value.split("\n\n")
        obj.docstring.value = "\n\n".join(listed(text, names) for text in paragraphs)


def listed(text: str, names: set[str]) -> str:
    """Lay out a paragraph's `name: meaning` sentences as a Markdown list."""
    if text.startswith("    "):
        return text
    joined = " ".join(line.strip() for line in text.splitlines())
    starts = [m for m in FIELD.finditer(joined) if set(m[1].split(", ")) <= names]
    if not starts:
        return text
    ends = [m.start() for m in starts[1:]] + [len(joined)]
    items = [
        f"- `{m[1].replace(', ', '`, `')}`: {joined[m.end() : end].strip().rstrip(';')}"
        for m, end in zip(starts, ends, strict=True)
    ]
    before = joined[: starts[0].start()].strip()
    return "\n".join([before, "", *items] if before else items)
