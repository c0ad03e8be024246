"""Everything that the engine does with git. Synchronous: effects call it through a thread."""
