"""What a zygote's child does first: take its descriptors, and give up what it will not need."""

import _signal  # type: ignore[import-not-found]
import gc
from os import closerange, dup2

from .channel import CHANNEL_FD
from .confinement import Confinement

_HANDLERS = (
    (_signal.SIGINT, _signal.default_int_handler),
    (_signal.SIGTERM, _signal.SIG_DFL),
    (_signal.SIGHUP, _signal.SIG_DFL),
)
"""What the zygote ignores; in numbers, as the enumerations of `signal` cost a tenth of a
millisecond."""
_NULL = 0
"""The zygote's own standard input is /dev/null."""
CONTROL_FD = CHANNEL_FD + 1
"""Of the zygote, which opens few others: the lowest numbers that are free."""
_END = 256
PLACES = (0, 1, 2, CHANNEL_FD)


def become(
    descriptors: list[int],
    has_stderr: bool,
    confined: Confinement,
    limits: tuple[int, int],
    places: tuple[int, int, int, int] = PLACES,
    is_rehearsal: bool = False,
) -> None:
    """Take the channel, standard output and, if it is there, standard input, and no other.

    `limits` are CPU seconds and bytes of address space.
    """
    stdin, stdout, stderr, channel = places
    dup2(descriptors[1], stdout)
    dup2(descriptors[1] if has_stderr else _NULL, stderr)
    if len(descriptors) > 2:
        dup2(descriptors[2], stdin)
    dup2(descriptors[0], channel)
    closerange(channel + 1, _END)
    gc.enable()
    for number, handler in _HANDLERS:
        _signal.signal(number, handler)
    confined.restrict(limits, is_rehearsal)
