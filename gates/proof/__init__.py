"""What is proved about a change beyond its gates: test-first, old tests, acceptance."""
