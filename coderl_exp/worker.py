"""The process that `accelerate launch` starts: `python -m coderl_exp.worker JOB.json [WORK]`.

WORK takes the place of the job's own folder; with it a job can be run again by hand.
Launched by the pipeline, it ends when the pipeline ends: its standard input is a pipe that the
pipeline holds open. A byte in that pipe asks for a checkpoint and an early end.
A deliberate error, or that it was stopped, is left in `error.txt` beside the job, for the launcher
to show.
"""

from __future__ import annotations

import os
import sys
from dataclasses import asdict, replace
from pathlib import Path
from threading import Event

from coderl_exp.errors import CoderlError
from coderl_exp.memory import keep_freed_memory
from coderl_exp.method import TrainingStoppedError, read_job, train
from coderl_exp.model import silence_libraries
from coderl_exp.process_group import die_with_starter
from coderl_exp.store import write_json

JOB_FILE = "job.json"
RESULT_FILE = "training.json"
ERROR_FILE = "error.txt"
STOPPED = 143
"""The exit code of a training that was asked to stop."""


def main() -> None:
    stop = Event()
    if "CODERL_LAUNCHED" in os.environ:
        die_with_starter(on_byte=stop.set)
    silence_libraries()
    keep_freed_memory()
    job = read_job(Path(sys.argv[1]))
    if len(sys.argv) > 2:
        job = replace(job, work=Path(sys.argv[2]).resolve())
        job.work.mkdir(parents=True, exist_ok=True)
    try:
        result = train(job, stop)
    except TrainingStoppedError as stopped:
        (job.work / ERROR_FILE).write_text(f"{stopped}\n", encoding="utf-8")
        sys.exit(STOPPED)
    except (CoderlError, OSError) as error:
        (job.work / ERROR_FILE).write_text(f"{error}\n", encoding="utf-8")
        raise
    if int(os.environ.get("RANK", "0")) == 0:
        write_json(job.work / RESULT_FILE, asdict(result))


if __name__ == "__main__":
    main()
