"""What a canary says of a commit, alone in its file: the state needs the word and nothing of the rest."""

from __future__ import annotations

from typing import Literal

Verdict = Literal["PASS", "FAIL", "INCONCLUSIVE", "ENVIRONMENT"]
