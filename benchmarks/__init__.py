"""The figures of docs/benchmarks.md, measured by `python -m benchmarks [NAME…] [--json]`: printed, not asserted."""
