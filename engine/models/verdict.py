"""What a canary run is for, and what it says of a commit. Apart from the policy: the state needs these words alone."""

from __future__ import annotations

from typing import Literal

Verdict = Literal["PASS", "FAIL", "INCONCLUSIVE", "ENVIRONMENT"]
Purpose = Literal["first", "rerun", "control", "culprit", "compare"]
