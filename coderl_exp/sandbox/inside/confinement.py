"""What the kernel takes away from a candidate's process: five layers, each tried and reported.

| layer | made of |
|---|---|
| `network` | user, network and IPC namespaces; Landlock's TCP rules where the kernel has them |
| `processes` | a pid namespace of its own whose init dies with the judge; no capabilities |
| `files` | a private root that holds the interpreter's files read-only, and Landlock over it |
| `syscalls` | seccomp: an allow-list without exec, fork, sockets, tracing, signals to others |
| `limits` | rlimits on CPU, memory, file size, open files, processes |

The zygote puts the first three and the constant limits on itself, once; what differs between
candidates (CPU and memory limits, the filter with its own pid) follows in each child.
"""

# pathlib is slow to import:
# ruff: noqa: PTH103, PTH110, PTH112, PTH120, PTH123

import ctypes
import os
import re
import resource
import sys
from collections.abc import Callable
from typing import Any

REQUIRED_LAYERS = ("network", "processes", "files", "limits")
"""What `isolation=strict` insists on; `syscalls` needs a library that not every machine has."""
KERNEL_FEATURES = {
    "network": "user and network namespaces (CONFIG_NET_NS, user.max_user_namespaces > 0)",
    "processes": "pid namespaces (CONFIG_PID_NS, user.max_user_namespaces > 0)",
    "files": "mount namespaces and Landlock (Linux 5.13, CONFIG_SECURITY_LANDLOCK)",
    "syscalls": "seccomp filters (CONFIG_SECCOMP_FILTER) and the library libseccomp.so.2",
    "limits": "setrlimit(2)",
}

_NEWUSER, _NEWNS, _NEWPID = 0x10000000, 0x00020000, 0x20000000
_NEWNET_AND_IPC = 0x40000000 | 0x08000000
_PR_SET_PDEATHSIG, _PR_GET_DUMPABLE, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 3, 4, 38
_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 22, 2
_PR_SET_CHILD_SUBREAPER = 36
_SYS_OPEN_TREE, _SYS_MOVE_MOUNT, _SYS_MOUNT_SETATTR = 428, 429, 442
_SYS_LANDLOCK_CREATE, _SYS_LANDLOCK_ADD, _SYS_LANDLOCK_RESTRICT = 444, 445, 446
_AT_FDCWD = -100
_AT_RECURSIVE = 0x8000
_SIGKILL = 9
_MAX_OPEN_FILES = 64
_MAX_PROCESSES = 32
_PID_MAX = 300 + 64
"""Once the pids have been through, the kernel gives out those from 300 (RESERVED_PIDS) on only."""

OWN_PID = b"\xf1\xde\xbc\x7a"
"""Stands in a syscall filter for the pid of the process that it is put on, as the CPU orders it."""
_CONSTANT_LIMITS = {
    resource.RLIMIT_FSIZE: 0,
    resource.RLIMIT_CORE: 0,
    resource.RLIMIT_NOFILE: _MAX_OPEN_FILES,
}

_libc = ctypes.CDLL(None, use_errno=True)
_prctl = _libc.prctl


class _FilterProgram(ctypes.Structure):
    """`struct sock_fprog` of the kernel."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def readable_paths() -> list[str]:
    """The files and folders that a Python program needs; called in the judge."""
    import site
    import sysconfig

    paths = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    paths += [*site.getsitepackages(), sys.base_prefix + "/lib", sys.base_prefix + "/lib64"]
    paths += ["/usr/lib", "/usr/lib64", "/lib", "/lib64", "/usr/share/zoneinfo"]
    paths += ["/etc/ld.so.cache", "/etc/localtime"]
    return [path for path in _without_nested(paths) if os.path.exists(path)]


def _without_nested(paths: list[str]) -> list[str]:
    kept: list[str] = []
    for path in sorted({os.path.normpath(path) for path in paths}, key=len):
        if not any(path.startswith(other + "/") for other in kept):
            kept.append(path)
    return kept


def _check(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def _syscall(number: int, what: str, *arguments: object) -> int:
    wrapped = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    return _check(int(_libc.syscall(ctypes.c_long(number), *wrapped)), what)


def _unshare(flags: int, what: str) -> None:
    _check(_libc.unshare(flags), what)


def die_with_parent() -> None:
    """Ask the kernel to kill this process when the thread that started it ends."""
    _prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)


class Confinement:
    """The layers of one zygote. `missing` maps a layer that is off to the reason.

    `unshare` is called in the process that becomes the zygote's parent, `enter` in the zygote,
    `restrict` in each of its children.
    """

    def __init__(
        self, missing: dict[str, str], readable: list[str], syscall_filters: tuple[bytes, bytes]
    ) -> None:
        self.missing = missing
        self._readable = readable
        self._own_filter, child_filter = syscall_filters
        self._child_filter = _SyscallFilter(child_filter)

    def unshare(self) -> None:
        """In the outer process: namespaces. The next fork is the first process of the new ones."""
        self._attempt("processes", self._new_user_and_pid)
        self._attempt("network", _unshare, _NEWNET_AND_IPC, "unshare network")

    def enter(self) -> None:
        """In the zygote: private root, no capabilities, Landlock, the constant limits."""
        self._attempt("processes", self._cap_processes)
        self._attempt("files", self._private_root)
        self._attempt("processes", _drop_capabilities)
        self._no_new_privileges()
        self._attempt("files", _landlock, self._readable)
        self._attempt("limits", _set_limits, _CONSTANT_LIMITS)
        if "processes" not in self.missing:  # otherwise it would count all that the user runs
            self._attempt("limits", _set_limits, {resource.RLIMIT_NPROC: _MAX_PROCESSES})
        self._attempt("syscalls", _SyscallFilter(self._own_filter).install)

    def restrict(self, limits: tuple[int, int], is_rehearsal: bool = False) -> None:
        """In a child, last; `limits` are CPU seconds and bytes of address space.

        A rehearsal with limits that hold already changes nothing.
        """
        cpu_s, memory_bytes = limits
        own = {resource.RLIMIT_CPU: cpu_s, resource.RLIMIT_AS: memory_bytes}
        self._attempt("limits", _set_limits, own)
        self._attempt("syscalls", self._child_filter.install, is_rehearsal)

    def _no_new_privileges(self) -> None:
        _prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        _prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
        _prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    def _attempt(self, layer: str, action: Callable[..., None], *arguments: Any) -> None:
        if layer in self.missing:
            return
        try:
            action(*arguments)
        except (OSError, AttributeError, ValueError) as error:
            self.missing[layer] = str(error)[:200]

    def _new_user_and_pid(self) -> None:
        user, group = os.geteuid(), os.getegid()
        try:
            _unshare(_NEWUSER, "unshare user")
        except OSError:
            if user != 0:
                raise  # root can make the other namespaces without one
        else:
            _map_ids(user, group)
        _unshare(_NEWPID, "unshare pid")

    def _cap_processes(self) -> None:
        """RLIMIT_NPROC does not bind root, pid_max of the namespace does.

        Before Linux 6.14 that file is the whole machine's, so it must not be touched there.
        """
        release = tuple(int(part) for part in os.uname().release.split(".")[:2] if part.isdigit())
        if os.getpid() == 1 and release >= (6, 14):
            with open("/proc/sys/kernel/pid_max", "w") as file:
                file.write(str(_PID_MAX))

    def _private_root(self) -> None:
        """An empty tmpfs with the readable paths mounted into it becomes `/`, read-only.

        Landlock alone would leave chmod, chown and connecting to Unix sockets by path.
        """
        _unshare(_NEWNS, "unshare mount")
        base = b"/proc"  # any folder that surely exists; hidden in this mount namespace only
        _check(_libc.mount(None, b"/", None, 0x4000 | 0x40000, None), "make mounts private")
        sources = [*self._readable, "/dev/null"]
        trees = [(path, _open_tree(path)) for path in sources]
        _check(_libc.mount(b"tmpfs", base, b"tmpfs", 2 | 4, b"size=64k"), "mount tmpfs")
        for path, tree in trees:
            _move_mount(tree, base.decode() + path)
        _make_read_only(base)
        os.chdir(base)
        _check(_libc.pivot_root(b".", b"."), "pivot_root")
        _check(_libc.umount2(b".", 2), "detach the old root")
        os.chdir("/")


def _map_ids(user: int, group: int) -> None:
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"65534 {user} 1"),
        ("gid_map", f"65534 {group} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def _open_tree(path: str) -> int:
    flags = 1 | _AT_RECURSIVE | os.O_CLOEXEC  # OPEN_TREE_CLONE
    return _syscall(_SYS_OPEN_TREE, f"open_tree {path}", _AT_FDCWD, path.encode(), flags)


def _move_mount(tree: int, target: str) -> None:
    is_folder = os.path.isdir(tree)
    os.makedirs(target if is_folder else os.path.dirname(target), exist_ok=True)
    if not is_folder:
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY))
    empty_source = 4  # MOVE_MOUNT_F_EMPTY_PATH
    _syscall(_SYS_MOVE_MOUNT, "move_mount", tree, b"", _AT_FDCWD, target.encode(), empty_source)
    os.close(tree)


def _make_read_only(base: bytes) -> None:
    attributes = (ctypes.c_uint64 * 4)(1 | 2, 0, 0, 0)  # MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID
    _syscall(
        _SYS_MOUNT_SETATTR,
        "mount_setattr",
        _AT_FDCWD,
        base,
        _AT_RECURSIVE,
        ctypes.byref(attributes),
        ctypes.sizeof(attributes),
    )


def _drop_capabilities() -> None:
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    nothing = (ctypes.c_uint32 * 6)()
    _check(_libc.capset(ctypes.byref(header), ctypes.byref(nothing)), "capset")


def _landlock(readable: list[str]) -> None:
    abi = _syscall(_SYS_LANDLOCK_CREATE, "Landlock", None, 0, 1)
    num_rights = 13 + (abi >= 2) + (abi >= 3) + (abi >= 5)
    handled = (ctypes.c_uint64 * 3)((1 << num_rights) - 1, 3 if abi >= 4 else 0, 3)
    size = 24 if abi >= 6 else 16 if abi >= 4 else 8
    rules = _syscall(_SYS_LANDLOCK_CREATE, "Landlock", ctypes.byref(handled), size, 0)
    read_file, write_file, read_dir = 4, 2, 8
    for path in readable:
        _allow(rules, path, read_file | read_dir if os.path.isdir(path) else read_file)
    _allow(rules, "/dev/null", read_file | write_file)
    _syscall(_SYS_LANDLOCK_RESTRICT, "Landlock", rules, 0)
    os.close(rules)


def _allow(rules: int, path: str, rights: int) -> None:
    folder = os.open(path, os.O_PATH | os.O_CLOEXEC)
    rule = rights.to_bytes(8, sys.byteorder) + folder.to_bytes(4, sys.byteorder)
    _syscall(_SYS_LANDLOCK_ADD, "Landlock", rules, 1, rule, 0)
    os.close(folder)


def _set_limits(limits: dict[int, int]) -> None:
    for which, value in limits.items():
        _, hard = resource.getrlimit(which)
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(which, (value, value))


class _SyscallFilter:
    """A BPF program, made ready before the forks, as each child pays for every page it touches."""

    def __init__(self, program: bytes) -> None:
        self._code = ctypes.create_string_buffer(program, len(program))
        header = _FilterProgram(len(program) // 8, ctypes.addressof(self._code))
        self._arguments = _SECCOMP_MODE_FILTER, ctypes.byref(header), 0, 0
        self._bytes = memoryview(self._code).cast("B")
        self._pids = [found.start() for found in re.finditer(re.escape(OWN_PID), program)]

    def install(self, is_rehearsal: bool = False) -> None:
        """Put it on this process, with its pid where signals to itself are allowed."""
        own = os.getpid().to_bytes(4, sys.byteorder)
        for start in self._pids:
            self._bytes[start : start + 4] = own
        option = _PR_GET_DUMPABLE if is_rehearsal else _PR_SET_SECCOMP
        _check(_prctl(option, *self._arguments), "seccomp")
