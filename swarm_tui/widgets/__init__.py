"""The control room's widgets, one a file."""
