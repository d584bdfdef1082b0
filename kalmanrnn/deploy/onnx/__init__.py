"""ONNX: a program as an opset-17 graph."""
