"""Memory that large readings leave behind."""

from __future__ import annotations

import sys


def give_back() -> None:
    """Hand freed memory back to the system, where the C library would keep it (glibc); elsewhere this does nothing.

    Takes some milliseconds. Reading a roadmap of ten thousand work orders leaves tens of megabytes behind.
    """
    if sys.platform != "linux":
        return
    import ctypes

    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (OSError, AttributeError):  # another C library
        return
