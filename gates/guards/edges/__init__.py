"""What a source file depends on: one file per language, read from tree objects."""
