"""ONNX: a program as an opset-17 graph."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "model": ["open_session", "write_onnx"],
        "sequence_model": ["write_sequence"],
    },
)
