"""Names that settings, metrics and checkpoints had before version 0.2; old runs still load."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kalmanrnn.core.errors import UsageError

# Section -> old key -> new key.
RENAMED: Mapping[str, Mapping[str, str]] = {
    "data": {
        "watched": "validation",
        "held_out": "test",
        "longest_outage_s": "max_outage_s",
        "check_stretches": "check_segments",
    },
    "train": {
        "distil_passes": "distil_epochs",
        "distil_rate": "distil_learning_rate",
        "free_steps": "rollout_steps",
        "free_batch": "rollout_batch",
        "free_window": "rollout_window",
        "free_passes": "rollout_epochs",
        "free_rate": "rollout_learning_rate",
        "last_rate": "final_fraction",
        "anchor_sigma": "reset_sigma",
        "checks": "num_validations",
    },
    "logs": {"held_share": "test_share", "held_gap_s": "test_gap_s"},
    "network": {"recurrent_out": "recurrent_output", "quiet_start": "zero_init_output"},
    "budget": {
        "carried": "stateful",
        "rate": "learning_rate",
        "last_rate": "final_fraction",
        "watched": "validation",
        "held_out": "test",
        "checks": "num_validations",
    },
    "metrics": {
        "part": "phase",
        "held_out_m": "validation_error",
        "held_out": "validation_error",
        "anchored": "resets",
    },
    "progress": {
        "untrained": "untrained_score",
        "waited": "since_best",
        "anchored": "resets",
        "held_out": "validation_error",
        "told_s": "logged_s",
    },
}
CONFIG_SECTIONS = ("data", "train", "logs", "network", "budget")


def with_new_names(section: str, raw: Mapping[str, Any]) -> dict[str, Any]:
    """Return a mapping's entries under the names of today."""
    return {RENAMED[section].get(key, key): value for key, value in raw.items()}


def refuse_old_flags(args: Sequence[str]) -> None:
    """Refuse a flag by its old name: UserError that names the new one."""
    new = {old: found for name in CONFIG_SECTIONS for old, found in RENAMED[name].items()}
    for text in args:
        name = text.split("=", 1)[0]
        key = name[2:].replace("-", "_")
        if name.startswith("--") and key in new:
            flag = "--" + new[key].replace("_", "-")
            raise UsageError(
                f"{name} has another name now",
                why="settings were renamed in version 0.2 (CHANGELOG.md has the whole table)",
                cure=f"use {flag}",
            )
