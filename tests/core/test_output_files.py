"""Laws of writing files: whole or not at all, and never over another."""

from __future__ import annotations

import pytest

from kalmanrnn.core.atomic_write import atomic_path, atomic_write
from kalmanrnn.core.errors import MISSING, USAGE, UserError
from kalmanrnn.core.extras import require
from kalmanrnn.core.output_path import refuse_existing, require_suffix


def write_half(path):
    with atomic_path(path) as beside:
        beside.write_text("half")
        raise RuntimeError


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    atomic_write(path, "old é")
    with pytest.raises(RuntimeError):
        write_half(path)
    assert path.read_text(encoding="utf-8") == "old é"
    atomic_write(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_output_paths_are_refused_before_work_is_done(tmp_path):
    path = tmp_path / "a.csv"
    require_suffix(path, (".csv", ".tum"), kind="estimates", flag="--out")
    refuse_existing(path, kind="estimates", cure="another")
    path.touch()
    for refuse, what in (
        (lambda: refuse_existing(path, kind="estimates", cure="another"), "already exists"),
        (lambda: require_suffix(path, (".tum",), kind="estimates", flag="--out"), "must be .tum"),
        (lambda: require_suffix(path / "b.x", (".x",), kind="x", flag="--out"), "cannot write"),
    ):
        with pytest.raises(UserError, match=what) as caught:
            refuse()
        assert caught.value.code == USAGE


def test_a_missing_package_names_its_extra():
    with pytest.raises(UserError, match="cannot write X") as caught:
        require("no_such_package.core", "export", "write X")
    assert caught.value.code == MISSING
    assert caught.value.cure == "pip install 'kalmanrnn[export]'"
    assert "package no_such_package is" in caught.value.why
