"""Work of a command that runs processes: ended in good order, whatever ends it."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Coroutine
from typing import Any, TypeVar, cast

EXIT_TERMINATED = 143
_Value = TypeVar("_Value")


def finished(
    work: Coroutine[Any, Any, _Value], ended: str = "interrupted: what ran was ended, and nothing was signed"
) -> _Value:
    """Run it to its end. Ctrl+C, or a signal that ends a process, cancels it first, so that its processes go with it.

    Raises KeyboardInterrupt then, once `ended` was said, or SystemExit(143) for a signal.
    """

    async def run() -> _Value:
        _end_by_signals(cast("asyncio.Task[_Value]", asyncio.current_task()))
        return await work

    try:
        return asyncio.run(run())
    except asyncio.CancelledError:
        raise SystemExit(EXIT_TERMINATED) from None
    except KeyboardInterrupt:
        sys.stderr.write(f"{ended}\n")
        raise


def _end_by_signals(task: asyncio.Task[Any]) -> None:
    if sys.platform == "win32":
        return
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup has it
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
