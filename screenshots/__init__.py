"""Pictures of the control room, drawn from the demo's night: `python -m screenshots`."""
