"""`python -m coderl_exp`: compose the experiment with Hydra, then hand typed objects on.

Every deliberate error ends as one line and an exit code: 2 for bad input, 1 for a run that failed,
130 and 143 for Ctrl-C and SIGTERM. Finished work is in the store; the same command continues.
"""

from __future__ import annotations

import errno
import logging
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from dotenv import load_dotenv
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from coderl_exp.cli_help import explain_hydra_error, help_text
from coderl_exp.config import PROJECT_ROOT, register_schemas
from coderl_exp.errors import CoderlError
from coderl_exp.process_group import die_with_starter

_DISK_FULL = "error: the disk is full: free space, then the same command continues"


class Terminated(BaseException):
    """SIGTERM arrived; unwinds like Ctrl-C so that children are ended."""


def main() -> None:
    """Entry point of the console script; exits."""
    arguments = sys.argv[1:]
    if {"-h", "--help"} & set(arguments):
        print(help_text())
        return
    if "CODERL_SWEEP_JOB" in os.environ:
        die_with_starter()
    signal.signal(signal.SIGTERM, _terminate)
    load_dotenv(PROJECT_ROOT / ".env")
    sys.exit(guarded(_run_hydra))


def _terminate(_number: int, _frame: FrameType | None) -> None:
    raise Terminated


def guarded(task: Callable[[], None]) -> int:
    """Run; turn what went wrong into one line on stderr and the exit code."""
    try:
        task()
    except BaseException as error:
        if (explained := _explained(error)) is None:
            raise
        line, code = explained
        print(line, file=sys.stderr, flush=True)
        return code
    return 0


def _explained(error: BaseException) -> tuple[str, int] | None:
    """One line and the exit code; None for what nobody foresaw."""
    line, code = "", 1
    match error:
        case KeyboardInterrupt():
            line = "interrupted: what was finished is kept, the same command continues"
            code = 130
        case Terminated():
            line = "terminated: what was finished is kept, the same command continues"
            code = 143
        case CoderlError():
            line, code = f"error: {error}", error.exit_code
        case Exception() if _is_disk_full(error):
            line = _DISK_FULL
        case OSError() if error.filename:
            line = f"error: {error.filename}: {error.strerror}"
        case Exception() if (message := explain_hydra_error(error)) is not None:
            line, code = f"error: {message}", 2
    return (" ".join(line.split()), code) if line else None


def explain(error: BaseException) -> str:
    """One line about any error."""
    explained = _explained(error)
    return explained[0].removeprefix("error: ") if explained else f"{type(error).__name__}: {error}"


def _is_disk_full(error: Exception) -> bool:
    """Python's own error, or safetensors', which has a type of its own."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    return "No space left on device" in str(error)


def _run_hydra() -> None:
    import hydra

    from coderl_exp.sweep.launcher import SweepLauncher, register_launcher
    from coderl_exp.sweep.resume import resumed_arguments, sweep_to_resume

    register_schemas()
    register_launcher()
    logging.getLogger("alembic").setLevel(logging.WARNING)  # Optuna's, in a search
    if (folder := sweep_to_resume(sys.argv[1:])) is not None:
        sys.argv[1:] = resumed_arguments(folder, sys.argv[1:])
        SweepLauncher.is_resumed = True
    # Without this Hydra prints errors itself and exits with 1.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    compose_and_run: Any = hydra.main(
        version_base="1.3", config_path=str(PROJECT_ROOT / "conf"), config_name="config"
    )(_task)
    try:
        compose_and_run()
    except ValueError:
        # A search without a result; the table below says why.
        if not SweepLauncher.launched:
            raise
    except (KeyboardInterrupt, Terminated):
        for launched in SweepLauncher.launched:
            resume = f"python -m coderl_exp resume={launched.sweep.folder}"
            print(f"`{resume}` goes on with the sweep", file=sys.stderr, flush=True)
        raise
    if _failures:
        raise _failures.pop()
    if SweepLauncher.launched:
        from coderl_exp.sweep_finish import finish_sweep

        finish_sweep(SweepLauncher.launched.pop())


_failures: list[Exception] = []
"""What a single run raised; Hydra would print a line of its own for it."""


def _task(composed: DictConfig) -> float | None:
    """One run; its pass@k, so that a sweeper can search."""
    from coderl_exp.run import read_request, run_experiment

    hydra = HydraConfig.get()
    try:
        run_dir = Path(hydra.runtime.output_dir)
        return run_experiment(read_request(composed, run_dir, hydra.overrides.task), explain)
    except Exception as error:
        if hydra.mode is RunMode.MULTIRUN:
            raise
        _failures.append(error)
    return None
