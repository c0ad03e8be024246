"""Words from outside in a commit's message, so that no forge acts on them when the commit reaches it.

Forges close issues, notify people and link other work by what a message says, and a message can tell them to run no
checks. Here such words stay readable and do nothing: `#12` becomes `# 12`, `@ada` `@ ada`, `[skip ci]` `(skip ci)`.

Sources: the manuals of GitHub, GitLab and Forgejo on references and closing keywords in messages, and of their CI on
skipping it.
"""

from __future__ import annotations

import re
from typing import Final

_REFERENCES: Final = re.compile(
    r"(?P<mark>#|(?<!\w)@|(?<!\w)!(?=\d)|(?<!\w)GH-(?=\d))(?=\w)"
    r"|(?P<address>://)(?=\S+/(?:issues|pull|pulls|merge_requests|work_items)/\d)",
    re.IGNORECASE,
)
_NO_CHECKS: Final = re.compile(r"\[([^\[\]\n]*\b(?:skip|no|ci)\b[^\[\]\n]*)\]|\*\*\*(NO_CI)\*\*\*", re.IGNORECASE)
_COMMAND: Final = re.compile(r"^/(?=\w)", re.MULTILINE)


def unlinked(text: str) -> str:
    """`text` without anything that a forge or its CI acts on: references, mentions, commands, words that skip checks.

    Clean text is returned as it is; doing it twice is doing it once.
    """
    text = _REFERENCES.sub(lambda found: f"{found[0]} ", text)
    return _COMMAND.sub("/ ", _NO_CHECKS.sub(lambda found: f"({found[1] or found[2]})", text))
