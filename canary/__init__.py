"""What keeps main green: flows that are run on what landed, drivers that speak to programs, golden traces."""
