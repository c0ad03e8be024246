"""Forges: where a remote lives that has pull requests. One file each; `choose.open_forge` tells which it is."""
