"""Guards: built-in gates on tree objects. They see what would land, never a work tree."""
