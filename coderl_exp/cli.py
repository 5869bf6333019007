"""`python -m coderl_exp`: compose the experiment with Hydra, then hand typed objects on.

Every deliberate error ends as one line and an exit code: 2 for bad input, 1 for a run that failed,
130 and 143 for Ctrl-C and SIGTERM. Finished work is in the store; the same command continues.
"""

from __future__ import annotations

import errno
import os
import shlex
import signal
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any

from dotenv import load_dotenv
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from coderl_exp.cli_help import explain_hydra_error, help_text
from coderl_exp.config import PROJECT_ROOT, Config, from_omegaconf, register_schemas
from coderl_exp.errors import CoderlError

_DISK_FULL = "error: the disk is full: free space, then the same command continues"


class Terminated(BaseException):
    """SIGTERM arrived; unwinds like Ctrl-C so that children are ended."""


def main() -> None:
    """Entry point of the console script; exits."""
    arguments = sys.argv[1:]
    if {"-h", "--help"} & set(arguments):
        print(help_text())
        return
    signal.signal(signal.SIGTERM, _terminate)
    load_dotenv(PROJECT_ROOT / ".env")
    sys.exit(guarded(_run_hydra))


def _terminate(_number: int, _frame: FrameType | None) -> None:
    raise Terminated


def guarded(task: Callable[[], None]) -> int:
    """Run; turn what went wrong into one line on stderr and the exit code."""
    try:
        task()
    except KeyboardInterrupt:
        return _say("interrupted: what was finished is kept, the same command continues", 130)
    except Terminated:
        return _say("terminated: what was finished is kept, the same command continues", 143)
    except CoderlError as error:
        return _say(f"error: {error}", error.exit_code)
    except Exception as error:
        if _is_disk_full(error):
            return _say(_DISK_FULL, 1)
        if isinstance(error, OSError) and error.filename:
            return _say(f"error: {error.filename}: {error.strerror}", 1)
        if (message := explain_hydra_error(error)) is None:
            raise
        return _say(f"error: {message}", 2)
    return 0


def _is_disk_full(error: Exception) -> bool:
    """Python's own error, or safetensors', which has a type of its own."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    return "No space left on device" in str(error)


def _say(line: str, code: int) -> int:
    print(" ".join(line.split()), file=sys.stderr, flush=True)
    return code


def _run_hydra() -> None:
    import hydra

    register_schemas()
    # Without this Hydra prints errors itself and exits with 1.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    compose_and_run: Any = hydra.main(
        version_base="1.3", config_path=str(PROJECT_ROOT / "conf"), config_name="config"
    )(_task)
    compose_and_run()
    if _failures:
        raise _failures.pop()


_failures: list[Exception] = []
"""What a single run raised; Hydra would print a line of its own for it."""


def _task(composed: DictConfig) -> None:
    try:
        config = from_omegaconf(composed)
        run_dir = Path(HydraConfig.get().runtime.output_dir)
        run_experiment(config, run_dir, OmegaConf.to_yaml(composed))
    except Exception as error:
        if HydraConfig.get().mode is RunMode.MULTIRUN:
            raise
        _failures.append(error)


def run_experiment(config: Config, run_dir: Path, config_yaml: str) -> None:
    """Run one composed experiment in `run_dir`, or print its plan."""
    from coderl_exp.memory import keep_freed_memory
    from coderl_exp.model import silence_libraries
    from coderl_exp.pipeline import Pipeline
    from coderl_exp.plan import print_plan
    from coderl_exp.reporting import finish_run
    from coderl_exp.store import digest_of
    from coderl_exp.tracking import NullTracker, make_tracker

    silence_libraries()
    keep_freed_memory()
    pipeline = Pipeline(config, run_dir, NullTracker())
    if config.plan:
        print_plan(pipeline)
        return
    if pipeline.meeting.machines.rank > 0:
        with pipeline.meeting:
            pipeline.join()
        return
    overrides = HydraConfig.get().overrides.task if HydraConfig.initialized() else []
    pipeline.tracker = make_tracker(
        config.tracking,
        run_dir,
        run_name=",".join(overrides) or config.experiment,
        run_id=digest_of(str(run_dir))[:16],
        job_type=config.method.name,
        run_config=asdict(config),
    )
    exit_code = 1
    try:
        with pipeline.meeting:
            pipeline.run()
        finish_run(pipeline, shlex.join(["python", "-m", "coderl_exp", *overrides]), config_yaml)
        exit_code = 0
    finally:
        pipeline.close()
        pipeline.tracker.finish(exit_code)
