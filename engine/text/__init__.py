"""Text from outside: made harmless to look at (`sanitise`) and free of secrets (`redact`)."""
