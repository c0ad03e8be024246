"""Effects: the only code that changes the world. Each is idempotent and ends in events."""
