"""What must be green: gate definitions, the local runner, results per test, guards, signed reports."""
