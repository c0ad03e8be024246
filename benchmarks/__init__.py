"""The figures of docs/benchmarks.md, measured anew: `python -m benchmarks [NAME…] [--json]`. Printed, never asserted."""
