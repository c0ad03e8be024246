"""The demo: a small repository, the scripts of its agents, and the check that the whole story was told."""
