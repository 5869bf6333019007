"""What small command-line tools share: every mistake is one line on stderr and an exit code."""

from __future__ import annotations

import argparse
import errno
import sys
from collections.abc import Callable
from typing import NoReturn

from coderl_exp.errors import CoderlError, ConfigError


class OneLineParser(argparse.ArgumentParser):
    """Raises instead of printing its usage; parse within `run_command`."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}. --help shows the usage.")


def run_command(task: Callable[[], None]) -> int:
    """Run and return the exit code: 0, 1 for what failed, 130 for Ctrl-C, and 2 for bad input, such
    as a path that cannot be read or written."""
    try:
        task()
    except CoderlError as error:
        return _say(f"error: {error}", error.exit_code)
    except OSError as error:
        if error.filename is None:
            raise
        is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        return _say(f"error: {error.filename}: {error.strerror}", 1 if is_full else 2)
    except KeyboardInterrupt:
        return _say("interrupted", 130)
    return 0


def _say(line: str, code: int) -> int:
    print(" ".join(line.split()), file=sys.stderr, flush=True)
    return code
