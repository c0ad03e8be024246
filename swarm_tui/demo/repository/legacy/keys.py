"""The first key table. Nothing imports it any more."""

KEYS = {"q": "quit", "b": "back", "f": "forward", "r": "reload"}
