"""Dangerous operations: their classes, how an answer is bound to exactly one of them, and who decides. Pure."""
