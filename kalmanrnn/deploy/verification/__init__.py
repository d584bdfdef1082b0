"""Proof that every exported form equals jax, and what each costs."""
