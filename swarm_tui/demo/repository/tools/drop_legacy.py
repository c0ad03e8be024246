"""Delete the painter of old, `legacy/`, for good. Run from the top of the repository; running it again does nothing."""

from __future__ import annotations

import shutil
from pathlib import Path


def main() -> None:
    folder = Path("legacy")
    if not folder.is_dir():
        print("legacy/ is gone already")
        return
    files = sum(1 for path in folder.rglob("*") if path.is_file())
    shutil.rmtree(folder)
    print(f"deleted legacy/ with {files} files")


if __name__ == "__main__":
    main()
