"""The face: command line, composition of the parts, control room, headless printer, demo."""
