"""The intermediate representation: traced from jax, folded, lowered to few operations."""
