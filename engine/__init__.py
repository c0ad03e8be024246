"""The circle: journal, state, planner, effects, and the ports behind which the world lies."""
