"""The pages that a view has shown, and where in them it stands."""

from __future__ import annotations


class History:
    """A list of addresses with a place in it, as a browser keeps one per view."""

    def __init__(self, first: str) -> None:
        self._entries = [first]
        self._at = 0

    @property
    def current(self) -> str:
        return self._entries[self._at]

    @property
    def entries(self) -> tuple[str, ...]:
        """All addresses, the oldest first."""
        return tuple(self._entries)

    @property
    def can_go_back(self) -> bool:
        return self._at > 0

    @property
    def can_go_forward(self) -> bool:
        return self._at < len(self._entries) - 1

    def visit(self, url: str) -> None:
        """Go to a new address. What lay ahead is forgotten; visiting the current address again changes nothing."""
        if url == self.current:
            return
        del self._entries[self._at + 1 :]
        self._entries.append(url)
        self._at = len(self._entries) - 1

    def back(self) -> str:
        """One page back, if there is one; the address that is now shown."""
        if self.can_go_back:
            self._at -= 1
        return self.current

    def forward(self) -> str:
        """One page forward, if there is one; the address that is now shown."""
        if self.can_go_forward:
            self._at += 1
        return self.current
