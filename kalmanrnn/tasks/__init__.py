"""Sequence tasks: networks trained on inputs and labels, with no filter in them."""
