"""What every child does is done a few times before the first: what that leaves behind is inherited.

The interpreter makes code faster as it runs, and looks up names that it then remembers. A child
would pay for that anew, and for a copy of every page that is written to on the way.
"""

import os
import resource
import socket
import sys

from . import asserts, child
from .channel import Channel, framed
from .confinement import Confinement

_TIMES = 20
"""More than the interpreter's counters want."""
_PLACES = (24, 25, 26, 27)
"""Descriptors that nothing else uses: above the zygote's own, which are few."""
_MAX_MESSAGES = 1 << 16
_CODE = '''
import math
from collections import Counter, defaultdict

LIMIT = 10

class Node:
    def __init__(self, value, left=None):
        self.value = value
        self.left = left

def gcd(a, b):
    while b:
        a, b = b, a % b
    return a

def solve(items, k=2, *rest, **named):
    """Text."""
    total, seen, best = 0, {}, None
    for i in range(len(items)):
        if items[i] % k == 0 and i < LIMIT or not items:
            total += items[i] ** 2 // 3
        elif items[i] is None:
            continue
        else:
            break
    try:
        for word in "a b c".split():
            seen[word] = seen.get(word, 0) + 1
    except (KeyError, ValueError) as error:
        raise TypeError(f"{error}: {k!r:>5}") from None
    with_index = [(n, x) for n, x in enumerate(sorted(set(items), key=lambda x: -x)) if x != 0]
    text = "".join(str(x) for x in items)[::-1].lower()
    return with_index, text, tuple(items), seen, True, 1.5, gcd(12, 18), Node(3).value, best, total
'''
_REQUEST = {
    "code": _CODE,
    "entry_point": "solve",
    "setup": "",
    "imports": "",
    "tests": [["solve([1, 2, 3])"], ["solve([])"], ["solve((3, 4), k=5)"], ["solve(3)"]],
}


def rehearse(confined: Confinement) -> None:
    """Judge a candidate of our own in this very process, which keeps its descriptors and limits.

    The handlers of signals, the garbage collector and `random` are then as in a child.
    """
    frames = sys.getrecursionlimit()
    limits = resource.getrlimit(resource.RLIMIT_CPU)[1], resource.getrlimit(resource.RLIMIT_AS)[1]
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for _ in range(_TIMES):
            null = os.dup(0)
            child.become([theirs.fileno(), null, null], True, confined, limits, _PLACES, True)
            _judge(ours)
            del sys.modules[asserts.MODULE]
            asserts.set_recursion_limit(frames)
            os.close(null)
    os.closerange(_PLACES[0], _PLACES[-1] + 1)


def _judge(judge: socket.socket) -> None:
    judge.send(framed(_REQUEST))
    asserts.run(Channel(_PLACES[-1]))
    judge.recv(_MAX_MESSAGES)
