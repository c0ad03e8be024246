"""A picture of the screen as a file."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path


def save_picture(svg: str, folder: Path, name: str | None = None) -> Path:
    """Write it into the folder under a name of its own, never over a file that is there. Raises OSError."""
    stem = name.removesuffix(".svg") if name else f"swarm-{datetime.now():%Y-%m-%d-%H%M%S}"
    for number in range(1, 1000):
        path = folder / (f"{stem}.svg" if number == 1 else f"{stem}-{number}.svg")
        try:
            with path.open("x", encoding="utf-8", newline="\n") as file:
                file.write(svg)
        except FileExistsError:
            continue
        return path.resolve()
    raise FileExistsError(17, "there are a thousand already")
