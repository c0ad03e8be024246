"""The figures of docs/benchmarks.md, measured anew by `python -m benchmarks [NAME…] [--json]`: printed, not asserted."""
