"""The control room's screens, one a file with its style beside it. Each docstring says what question it answers."""
