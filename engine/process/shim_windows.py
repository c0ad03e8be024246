"""The process tree on Windows: a job object. Untested on this platform."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

from engine.process.relatives import Relative
from engine.process.shim_records import NotStarted

PATIENCE_S = 5.0


class WindowsTree:
    """The shim sits in a job object that is closed, and so kills everything, when the shim ends."""

    def __init__(self, order: dict[str, Any]) -> None:
        self._order = order
        self._process: Any = None
        self._job: Any = None
        self.talk: tuple[int, int] | None = None

    def start(self) -> int:
        if sys.platform != "win32":
            raise AssertionError("Windows only")
        import subprocess

        self._enter_job()
        output, output_w = os.pipe()
        flags = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
        if self._order["nice"]:
            flags |= subprocess.BELOW_NORMAL_PRIORITY_CLASS
        argv = self._order["head"] + self._order["options"] + self._order["command"]
        pipe = subprocess.PIPE
        talks = bool(self._order.get("talk"))
        try:
            self._process = subprocess.Popen(
                argv,
                stdin=pipe if talks else subprocess.DEVNULL,
                stdout=pipe if talks else output_w,
                stderr=output_w,
                cwd=self._order["cwd"],
                env=self._order["env"],
                creationflags=flags,
            )
        except OSError as error:
            raise NotStarted(f"the program {argv[0]!r} cannot be run: {error.strerror}") from error
        finally:
            os.close(output_w)
        if talks:
            # Duplicates, because Popen closes its own when it is collected.
            self.talk = os.dup(self._process.stdin.fileno()), os.dup(self._process.stdout.fileno())
            self._process.stdin.close()
            self._process.stdout.close()
        return output

    def wait(self) -> None:
        self._process.wait()

    def exit_code(self) -> int | None:
        return self._process.returncode

    def used(self) -> list[Relative]:
        """None that are to be looked at: the job itself holds them to their quota."""
        return []

    def kill(self) -> str:
        if sys.platform != "win32":
            raise AssertionError("Windows only")
        import ctypes

        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        give_up, others = time.monotonic() + PATIENCE_S, 0
        while time.monotonic() < give_up:
            others = 0
            for pid in self._job_members(kernel):
                if pid != os.getpid():
                    others += 1
                    handle = kernel.OpenProcess(1, False, pid)  # PROCESS_TERMINATE
                    if handle:
                        kernel.TerminateProcess(handle, 1)
                        kernel.CloseHandle(handle)
            if not others:
                return ""
            time.sleep(0.01)
        return f"{others} processes could not be killed"

    def close(self) -> None:
        """The job stays: the shim is in it until it ends, and so takes one order only."""

    def _enter_job(self) -> None:
        """Put the shim, and so all it starts, into a job that is killed when its last handle closes."""
        if sys.platform != "win32":
            raise AssertionError("Windows only")
        import ctypes

        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        kernel.CreateJobObjectW.restype = ctypes.c_void_p
        kernel.GetCurrentProcess.restype = ctypes.c_void_p
        self._job = ctypes.c_void_p(kernel.CreateJobObjectW(None, None))
        # JOBOBJECT_EXTENDED_LIMIT_INFORMATION: LimitFlags is the DWORD after two 8-byte times.
        wide = ctypes.sizeof(ctypes.c_void_p) == 8
        limits = ctypes.create_string_buffer(144 if wide else 112)
        flags = 0x2000  # JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE
        quota: dict[str, int] = self._order["quota"]
        if quota["processes"]:
            flags |= 0x8  # JOB_OBJECT_LIMIT_ACTIVE_PROCESS; the shim itself is one
            ctypes.c_uint32.from_buffer(limits, 40 if wide else 28).value = quota["processes"] + 1
        if quota["memory"]:
            flags |= 0x200  # JOB_OBJECT_LIMIT_JOB_MEMORY: what is committed; beyond it, nothing more is given
            ctypes.c_size_t.from_buffer(limits, 120 if wide else 100).value = quota["memory"]
        ctypes.c_uint32.from_buffer(limits, 16).value = flags
        kernel.SetInformationJobObject(self._job, 9, limits, len(limits))
        kernel.AssignProcessToJobObject(self._job, ctypes.c_void_p(kernel.GetCurrentProcess()))

    def _job_members(self, kernel: Any) -> list[int]:
        import ctypes

        room = 4096
        buffer = (ctypes.c_size_t * (room + 1))()
        kernel.QueryInformationJobObject(self._job, 3, buffer, ctypes.sizeof(buffer), None)
        # JOBOBJECT_BASIC_PROCESS_ID_LIST: two DWORDs (assigned, listed), then pointer-sized pids.
        listed = ctypes.c_uint32.from_buffer(buffer, 4).value
        first = 8 // ctypes.sizeof(ctypes.c_size_t)
        return [int(buffer[first + index]) for index in range(min(listed, room - 1))]
