"""Memory that torch frees on a CPU is kept for its next tensor instead of going back to the kernel.

By default glibc maps every large tensor anew, and each of its pages costs a page fault; where those
are slow (virtual machines), they took a third of a training step.
"""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil

_CGROUPS, _OWN_CGROUPS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
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
    """What this machine has, or what containers and Slurm let a process of theirs have."""
    limits = [int(psutil.virtual_memory().total)]
    for file in _limit_files():
        with suppress(OSError, ValueError):  # no such group, or "max"
            limits.append(int(file.read_text(encoding="ascii")))
    return min(limits)


def _limit_files() -> Iterator[Path]:
    """Of this process's control groups and all above them, in both versions (`cgroups(7)`)."""
    if not _OWN_CGROUPS.exists():
        return
    for line in _OWN_CGROUPS.read_text(encoding="utf-8").splitlines():
        _, controllers, group = line.split(":", 2)
        if not controllers:
            root, name = _CGROUPS, "memory.max"
        elif "memory" in controllers.split(","):
            root, name = _CGROUPS / "memory", "memory.limit_in_bytes"
        else:
            continue
        own = root / group.lstrip("/")
        yield from (place / name for place in (own, *own.parents) if place.is_relative_to(root))


def peak_memory_mb() -> float:
    """The most that this process had in memory at once.

    What `resource` says counts the process that started this one, too: it lasts over `exec`.
    """
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise OSError("this kernel does not tell the peak of a process's memory")
