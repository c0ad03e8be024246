"""What the control room knows and does, without any widget: sources, rows, words, keys, files."""
