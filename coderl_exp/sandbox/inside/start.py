"""Where a zygote begins: everything that its children rarely write to comes first into memory."""

import os
import posix
import random

from .memory import fill_gaps

USUAL_MODULES = """array bisect calendar cmath collections copy datetime decimal fractions
functools heapq itertools math numbers operator random re statistics string struct typing
dataclasses""".split()  # noqa: SIM905
"""Imported before forking. What is missing here is imported by each candidate that wants it."""
_OWN_MODULES = "ast base64 ctypes gc json marshal resource select signal socket warnings".split()  # noqa: SIM905
"""What the zygote imports for itself."""


def main() -> None:
    import_usual_modules()
    fill_gaps()
    from .zygote import main as serve

    serve()


def import_usual_modules() -> None:
    """Import them, and seed `random`, so that every child starts from the same state.

    The command line has switched off `os.register_at_fork`, with which `random` would see to it
    that no two children do.
    """
    for name in USUAL_MODULES + _OWN_MODULES:
        __import__(name)
    os.register_at_fork = posix.register_at_fork
    random.seed(0)
