import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kalmanrnn.core.errors import DATA, UserError
from kalmanrnn.training import checkpoint

TREE = {"a": jnp.arange(6.0).reshape(2, 3), "b": (jnp.ones(()), jnp.array([1, 2]))}


def test_what_is_saved_comes_back_bit_for_bit(tmp_path):
    path = tmp_path / "x.npz"
    checkpoint.save(path, TREE, {"step": 7})
    tree, meta = checkpoint.load(path, jax.tree.map(jnp.zeros_like, TREE))
    assert meta == {"step": 7}
    for a, b in zip(jax.tree.leaves(tree), jax.tree.leaves(TREE), strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.dtype == b.dtype
    assert list(tmp_path.iterdir()) == [path]


def test_a_damaged_file_is_a_user_error(tmp_path):
    path = tmp_path / "x.npz"
    checkpoint.save(path, TREE, {})
    whole = path.read_bytes()
    for data in (b"", whole[: len(whole) // 2], b"no zip at all"):
        path.write_bytes(data)
        with pytest.raises(UserError, match="damaged") as caught:
            checkpoint.load(path, TREE)
        assert caught.value.code == DATA


def test_bits_flipped_inside_are_noticed(tmp_path):
    path = tmp_path / "x.npz"
    checkpoint.save(path, TREE, {})
    data = bytearray(path.read_bytes())
    where = data.find(np.float32(5).tobytes())
    data[where] ^= 0xFF
    path.write_bytes(bytes(data))
    with pytest.raises(UserError, match="damaged"):
        checkpoint.load(path, TREE)


def test_another_shape_is_refused(tmp_path):
    path = tmp_path / "x.npz"
    checkpoint.save(path, TREE, {})
    with pytest.raises(UserError, match="does not fit"):
        checkpoint.load(path, TREE | {"a": jnp.zeros((3, 3))})


def test_a_pickle_is_never_loaded(tmp_path):
    path = tmp_path / "x.npz"
    meta = np.frombuffer(json.dumps({}).encode(), np.uint8)
    np.savez(path, allow_pickle=True, **{"['a']": np.array([{}], object), "__meta__": meta})
    with pytest.raises(UserError, match="damaged"):
        checkpoint.load(path, {"a": jnp.zeros(1)})


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "x.npz"
    checkpoint.save(path, TREE, {"step": 1})

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="No space"):
        checkpoint.save(path, TREE, {"step": 2})
    assert checkpoint.meta_of(path) == {"step": 1}
