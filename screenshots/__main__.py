"""`python -m screenshots`: play the demo's night and draw every picture anew."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from screenshots.draw import draw_all

SEED = 7


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m screenshots", description=__doc__)
    parser.add_argument("--seed", type=int, default=SEED, help="how long the demo's agents take")
    parser.add_argument("--into", type=Path, default=Path(__file__).parent, help="the folder of the pictures")
    parser.add_argument("--only", default="", help="names of screens by comma, as in the files' names")
    chosen = parser.parse_args()
    chosen.into.mkdir(parents=True, exist_ok=True)
    for line in draw_all(chosen.into, chosen.seed, frozenset(filter(None, chosen.only.split(",")))):
        print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
