"""Results per test: one adapter a file, found through `table`."""
