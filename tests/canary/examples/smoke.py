"""A check of one's own, in any language: its exit code is the word."""

import subprocess
import sys

if __name__ == "__main__":
    said = subprocess.run([sys.executable, "total.py", "40", "2"], capture_output=True, text=True, check=False)
    if "total" not in said.stdout:
        sys.exit(125)
    sys.exit(said.stdout != "total 42\n")
