"""The room in a browser on this machine. Needs the extra `[web]`."""
