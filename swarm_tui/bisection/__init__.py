"""What `swarm bisect` consists of: the commits, the runs, the record of them, and what is shown."""
