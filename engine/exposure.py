"""Which changes were written side by side in the same places: they may be good alone and red together. Pure."""

from __future__ import annotations

from functools import lru_cache

from engine.state import Change, State

LANDINGS = 40
"""Recent landings that are looked at."""


def exposure(state: State, change: Change) -> float:
    """How many changes in the same places landed since this one's base."""
    try:
        since = len(state.known_main) - state.known_main[::-1].index(change.base)
    except ValueError:
        since = 0
    newer = set(state.known_main[since:][-LANDINGS:])
    others = (other for other in state.changes.values() if other.commit in newer and other.id != change.id)
    return float(sum(overlap(change, other) for other in others))


class Exposures:
    """`exposure` for many changes of one state: landings are bits, so that each change is asked about at once."""

    def __init__(self, state: State) -> None:
        recent = state.known_main[-LANDINGS:]
        every = (1 << len(recent)) - 1
        place = {commit: at for at, commit in enumerate(recent)}
        self._since = {commit: every >> (at + 1) << (at + 1) for commit, at in place.items()}
        self._every = every
        self._in: dict[str, int] = {}
        for other in state.changes.values():
            if (at := place.get(other.commit)) is not None:
                for folder in folders_of(other):
                    self._in[folder] = self._in.get(folder, 0) | 1 << at

    def of(self, change: Change) -> float:
        """For a change that has not landed itself."""
        beside = 0
        for folder in folders_of(change):
            beside |= self._in.get(folder, 0)
        return float((beside & self._since.get(change.base, self._every)).bit_count())


def overlap(one: Change, other: Change) -> bool:
    """Whether they change files of the same folders."""
    return not folders_of(one).isdisjoint(folders_of(other))


def folders_of(change: Change) -> frozenset[str]:
    """The folders whose files it changes."""
    return _folders(tuple(change.paths))


@lru_cache(maxsize=4096)
def _folders(paths: tuple[str, ...]) -> frozenset[str]:
    return frozenset(path.rpartition("/")[0] for path in paths)
