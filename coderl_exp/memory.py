"""Memory that torch frees on a CPU is kept for its next tensor instead of going back to the kernel.

By default glibc maps every large tensor anew, and each of its pages costs a page fault; where those
are slow (virtual machines), they took a third of a training step.
"""

from __future__ import annotations

import ctypes
import gc
from contextlib import suppress
from pathlib import Path

import psutil

_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4


def keep_freed_memory() -> None:
    """Tune glibc's malloc in this process; does nothing elsewhere."""
    with suppress(OSError, AttributeError):
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(_M_MMAP_MAX, 0)
        libc.mallopt(_M_TRIM_THRESHOLD, -1)


def return_freed_memory() -> None:
    """Give what is free back to the kernel now, for another process to use."""
    gc.collect()
    with suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def total_memory_bytes() -> int:
    """Of this machine, or of the container that this process is in."""
    total = int(psutil.virtual_memory().total)
    with suppress(OSError, ValueError):
        limit = int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii"))
        return min(total, limit)
    return total


def peak_memory_mb() -> float:
    """The most that this process had in memory at once.

    What `resource` says counts the process that started this one, too: it lasts over `exec`.
    """
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise OSError("this kernel does not tell the peak of a process's memory")
