"""What an export can be: formats, weights and targets; imports neither jax nor numpy."""

from typing import Literal

NUMPY, C, ONNX, STABLEHLO = "numpy", "c", "onnx", "stablehlo"
FORMATS = (NUMPY, C, ONNX, STABLEHLO)
Weights = Literal["float32", "int8"]
Target = Literal["portable", "cortex-m"]
WEIGHTS: tuple[Weights, ...] = ("float32", "int8")
PORTABLE, CORTEX_M = TARGETS = ("portable", "cortex-m")
INT8_LIMIT = 1.02
