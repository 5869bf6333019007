"""`python -m coderl_exp.judge`: rows in, verdicts out, resumed, and every bad input refused."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from coderl_exp import judge, verdict_files
from coderl_exp.config import PROJECT_ROOT
from coderl_exp.records import Program, Usage, Verdict, VerdictStatus
from coderl_exp.sandbox import IsolationReport
from coderl_exp.schemas import SandboxConfig
from tests.conftest import mbpp_row

Row = dict[str, Any]
GOOD = "def add_1(x):\n    return x + 1\n"
WRONG = "def add_1(x):\n    return x\n"
ECHO = "print(input())\n"


class FakeJudge:
    """Passes code that contains `+`; can be made to stop after some verdicts."""

    def __init__(self, config: SandboxConfig) -> None:
        self.config = config
        self.seen: list[Program] = []
        self.closed = 0
        self.stop: tuple[int, BaseException] | None = None
        self.report = IsolationReport(active=("network", "files"))

    def run(self, programs: Iterable[Program]) -> Iterator[Verdict]:
        for number, program in enumerate(programs):
            if self.stop and number == self.stop[0]:
                raise self.stop[1]
            self.seen.append(program)
            yield self._verdict(program)

    def _verdict(self, program: Program) -> Verdict:
        code = program.code
        status = VerdictStatus.passed if "+" in (code or "") else VerdictStatus.wrong_answer
        if code is None:
            status = VerdictStatus.no_code
        elif "SANDBOX" in code:
            status = VerdictStatus.sandbox_error
        usage = Usage(cpu_s=0.0123456789, wall_s=0.5, memory_mb=9.87654321)
        return Verdict(status=status, tests=(status, None), error="e", output="o", usage=usage)

    def describe(self) -> IsolationReport:
        return self.report

    def close(self) -> None:
        self.closed += 1


class Tool:
    """The command in a folder of its own, with a fake judge; remembers the judges it made."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
        self.folder, self._capsys = folder, capsys
        self.judges: list[FakeJudge] = []
        self.stop: tuple[int, BaseException] | None = None
        self.report = IsolationReport(active=("network", "files"))
        self.dataset = "mbpp"
        self.stderr = ""
        monkeypatch.setattr(judge, "make_judge", self._make_judge)
        self.write("data.jsonl", [mbpp_row(1), mbpp_row(2)])

    def _make_judge(self, config: SandboxConfig) -> FakeJudge:
        made = FakeJudge(config)
        made.stop, made.report = self.stop, self.report
        self.judges.append(made)
        return made

    def write(self, name: str, rows: Iterable[Any]) -> None:
        lines = (row if isinstance(row, str) else json.dumps(row) for row in rows)
        (self.folder / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    def candidates(self, *rows: Any) -> None:
        self.write("candidates.jsonl", rows)

    @property
    def out(self) -> Path:
        return self.folder / "out.jsonl"

    def arguments(self, *flags: str, out: Path | None = None) -> list[str]:
        files = {"data": "data.jsonl", "candidates": "candidates.jsonl"}
        named = [part for n, f in files.items() for part in (f"--{n}", str(self.folder / f))]
        return ["--dataset", self.dataset, *named, "--out", str(out or self.out), *flags]

    def run(self, *flags: str, out: Path | None = None) -> int:
        code = judge.run(self.arguments(*flags, out=out))
        self.stderr = self._capsys.readouterr().err
        return code

    def rows(self) -> list[Row]:
        return [json.loads(line) for line in self.out.read_text(encoding="utf-8").splitlines()]

    def num_run(self) -> int:
        return sum(len(made.seen) for made in self.judges)

    def refused(self, *flags: str, out: Path | None = None) -> str:
        """The one line that it is refused with, nothing having been judged."""
        num_run = self.num_run()
        assert self.run(*flags, out=out) == 2
        assert self.num_run() == num_run
        (line,) = self.stderr.splitlines()
        return line.removeprefix("error: ")


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Tool:
    return Tool(tmp_path, monkeypatch, capsys)


def candidate(number: int | str = 1, code: str | None = GOOD, **columns: Any) -> Row:
    return {"task_id": number, "code": code, **columns}


def start(tool: Tool, *flags: str) -> subprocess.Popen[str]:
    """The command in a process of its own, with the real judge."""
    command = [sys.executable, "-m", "coderl_exp.judge", *tool.arguments(*flags)]
    options = ["--isolation", "best_effort", "--workers", "2"]
    return subprocess.Popen(
        [*command, *options], cwd=PROJECT_ROOT, stderr=subprocess.PIPE, text=True
    )


def judged(tool: Tool, *flags: str) -> list[Row]:
    process = start(tool, *flags)
    tool.stderr = process.communicate(timeout=120)[1]
    assert process.returncode == 0, tool.stderr
    return tool.rows()


def statuses(rows: Iterable[Row]) -> list[str]:
    return [row["verdict"] for row in rows]


def test_asserts_are_judged_in_input_order(tool: Tool) -> None:
    tool.candidates(
        candidate(2, "def add_2(x): return x + 2"),
        candidate("mbpp/1", WRONG, note="kept", verdict="mine"),
        candidate(1, "def add_1(x) return x"),
        candidate(1, None),
        candidate("1", "def other(): pass"),
    )
    rows = judged(tool)
    assert statuses(rows) == [
        *("passed", "wrong_answer", "syntax_error", "no_code", "missing_entry_point")
    ]
    assert list(rows[0]) == [
        *("task_id", "code", "verdict", "passed", "tests", "error"),
        *("cpu_s", "wall_s", "memory_mb"),
    ]
    assert rows[0]["task_id"] == 2
    assert rows[0]["passed"] is True
    assert rows[0]["tests"] == ["passed"] * 3
    assert 0 < rows[0]["cpu_s"] < 3
    assert (rows[1]["task_id"], rows[1]["note"]) == ("mbpp/1", "kept")
    assert (rows[1]["passed"], rows[1]["tests"]) == (False, ["wrong_answer", None, None])
    assert "add_1(0) == 1" in rows[1]["error"]
    assert rows[3]["cpu_s"] == 0.0


def test_completions_go_through_the_extraction(tool: Tool) -> None:
    tool.candidates(
        {"task_id": 1, "completion": f"Here it is:\n```python\n{GOOD}```\nEasy."},
        {"task_id": 1, "completion": "I cannot."},
    )
    assert statuses(judged(tool)) == ["passed", "no_code"]


def test_functions_of_taco_are_judged(tool: Tool) -> None:
    tool.dataset = "taco"
    content = {"fn_name": "twice", "inputs": [[1], [[2]]], "outputs": [2, [2, 2]]}
    starter = "class Solution:\n    def twice(self, x):\n"
    tool.write(
        "data.jsonl",
        [
            {"input_output": json.dumps(content)},
            {"input_output": content, "starter_code": starter, "id": "method"},
        ],
    )
    method = "class Solution:\n    def twice(self, x): return 2 * x\n"
    tool.candidates(
        candidate(0, "def twice(x): return 2 * x"),
        candidate("taco/0", "def twice(x): return x"),
        candidate("method", method),
        candidate("taco/method", "def twice(x): return 2 * x"),
    )
    assert statuses(judged(tool)) == ["passed", "wrong_answer", "passed", "missing_entry_point"]


def stdin_problems(tool: Tool) -> None:
    tool.dataset = "taco"
    echo = {"inputs": ["a b\n", ["c"]], "outputs": ["a b\n", "c"]}
    half = {"inputs": ["3"], "outputs": ["1.5"]}
    tool.write(
        "data.jsonl",
        [
            {"input_output": json.dumps(echo)},
            {"input_output": half, "id": "half", "float_tolerance": 1e-6},
        ],
    )


def test_programs_are_judged_by_what_they_print(tool: Tool) -> None:
    stdin_problems(tool)
    tool.candidates(
        candidate(0, ECHO),
        candidate(0, "import sys\nsys.stdout.write(sys.stdin.read().upper())"),
        candidate(0, "print('a b')"),
        candidate(0, ECHO + "raise SystemExit(1)"),
        candidate(0, "while True: pass"),
        candidate("half", "print(int(input()) / 2 + 1e-9)"),
        candidate("half", "print(int(input()) / 2 + 1e-3)"),
        candidate("half", "print("),
        candidate("half", None),
    )
    rows = judged(tool, "--timeout-s", "0.5")
    assert statuses(rows) == [
        *("passed", "wrong_answer", "wrong_answer", "runtime_error", "timeout"),
        *("passed", "wrong_answer", "syntax_error", "no_code"),
    ]
    assert rows[0]["tests"] == ["passed", "passed"]
    assert rows[2]["tests"] == ["passed", "wrong_answer"]


def test_completions_of_programs_need_no_definition(tool: Tool) -> None:
    stdin_problems(tool)
    tool.candidates({"task_id": 0, "completion": f"So:\n```python\n{ECHO}```\nDone."})
    tool.run()
    assert [program.code for program in tool.judges[0].seen] == [ECHO]


def test_fraction_runs_every_test(tool: Tool) -> None:
    tool.candidates(candidate(1, "def add_1(x): return x + 1 - (x == 0)"))
    (row,) = judged(tool, "--fraction")
    assert row["tests"] == ["wrong_answer", "passed", "passed"]


def test_flags_reach_the_judge_and_the_rest_comes_from_the_configuration(tool: Tool) -> None:
    tool.candidates(candidate())
    flags = ["--workers", "3", "--isolation", "best_effort", "--fraction", "--timeout-s", "1.5"]
    assert tool.run(*flags, "--memory-mb", "128") == 0
    config = tool.judges[0].config
    assert (config.num_workers, config.isolation.value, config.fraction) == (3, "best_effort", True)
    assert (config.timeout_s, config.memory_mb) == (1.5, 128)
    tool.out.unlink()
    assert tool.run() == 0
    config = tool.judges[1].config
    assert (config.name, config.isolation.value, config.fraction) == ("local", "strict", False)
    assert (config.timeout_s, config.memory_mb, config.num_workers) == (3.0, 512, 0)


def test_challenge_tests_are_judged_when_asked_for(tool: Tool) -> None:
    tool.write("data.jsonl", [mbpp_row(1, challenge_test_list=["assert add_1(9) == 10"])])
    tool.candidates(candidate())
    tool.run("--challenge-tests")
    assert tool.judges[0].seen[0].tests[-1] == "assert add_1(9) == 10"


def test_neither_a_reference_nor_a_text_is_needed(tool: Tool) -> None:
    tool.write("data.jsonl", [{"task_id": 1, "test_list": ["assert add_1(1) == 2"]}])
    tool.candidates(candidate())
    assert tool.run() == 0
    assert tool.judges[0].seen[0].entry_point == "add_1"


def test_measured_values_are_rounded_and_code_wins_over_a_completion(tool: Tool) -> None:
    tool.candidates(candidate(1, WRONG, completion=GOOD))
    tool.run()
    (row,) = tool.rows()
    assert (row["cpu_s"], row["wall_s"], row["memory_mb"]) == (0.012346, 0.5, 9.877)
    assert row["verdict"] == "wrong_answer"
    assert row["completion"] == GOOD


def test_odd_text_comes_out_as_it_went_in(tool: Tool) -> None:
    row = candidate(1, "x = '\ud800 ♥ \u2028 \x00'", note=float("inf"), nested={"a": [1, None]})
    tool.candidates(row, "", row)
    assert tool.run() == 0
    assert [{name: out[name] for name in row} for out in tool.rows()] == [row, row]


def test_duplicates_and_arrays_are_fine(tool: Tool) -> None:
    rows = [candidate(), candidate(), candidate(2)]
    (tool.folder / "candidates.jsonl").write_text(json.dumps(rows, indent=2), encoding="utf-8")
    assert tool.run() == 0
    assert [row["task_id"] for row in tool.rows()] == [1, 1, 2]


def test_verdicts_are_written_as_they_come(tool: Tool) -> None:
    tool.candidates(*[candidate(1, GOOD + "#" * i) for i in range(50)])
    sizes = []

    class Watched(FakeJudge):
        def run(self, programs: Iterable[Program]) -> Iterator[Verdict]:
            for verdict in super().run(programs):
                yield verdict
                sizes.append(len(tool.rows()))

    judge.make_judge = Watched  # the fixture puts it back
    tool.run()
    assert sizes == list(range(1, 51))


def test_the_summary_says_what_came_out(tool: Tool) -> None:
    rows = [candidate(1, GOOD + "#" * i) for i in range(3)] + [candidate(1, WRONG)] * 2
    tool.report = IsolationReport(active=("files",), missing={"network": "no namespaces"})
    tool.candidates(*rows, *(candidate(2) for _ in range(6)))
    assert tool.run("--isolation", "best_effort") == 0
    bar, sentence, verdicts, pass_at_k, isolation = tool.stderr.splitlines()
    assert bar.startswith("judge: 11/11 candidates")
    assert sentence.startswith("11 candidates of 2 of 2 problems: 11 judged in ")
    assert sentence.endswith(" candidates/s)")
    assert verdicts == "verdicts: passed 9 (81.8%), wrong_answer 2 (18.2%)"
    assert pass_at_k == "pass@1 0.8000, pass@5 1.0000 (over 2 problems)"
    assert isolation == "isolation: best_effort, with files; missing: network (no namespaces)"


def test_failures_of_the_judge_count_neither_way(tool: Tool) -> None:
    tool.candidates(
        candidate(1), candidate(1, WRONG), candidate(1, "SANDBOX"), candidate(2, "SANDBOX")
    )
    assert tool.run() == 1
    assert "pass@1 0.5000 (over 1 problems)" in tool.stderr
    assert "sandbox_error: 2 candidates could not be judged" in tool.stderr
    assert tool.stderr.splitlines()[-1].startswith("error: 2 of 4 candidates could not be judged")
    assert [row["passed"] for row in tool.rows()] == [True, False, None, None]


def test_a_few_failures_of_the_judge_are_no_error(tool: Tool) -> None:
    tool.candidates(*[candidate(1)] * 199, candidate(1, "SANDBOX"))
    assert tool.run() == 0
    assert "sandbox_error: 1 candidates" in tool.stderr
    assert "pass@100 1.0000 (over 1 problems)" in tool.stderr


def test_the_judge_and_its_work_are_closed(tool: Tool) -> None:
    tool.candidates(candidate())
    tool.run()
    assert tool.judges[0].closed == 1


def many(number: int) -> list[Row]:
    """Distinct candidates, every third of them wrong."""
    return [candidate(1, (GOOD if i % 3 else WRONG) + f"# {i}\n", index=i) for i in range(number)]


@pytest.mark.parametrize("torn", ["", '{"task_id": 1, "co', "\x00\x00", "x" * 100_000])
def test_a_second_start_continues_after_the_last_whole_row(tool: Tool, torn: str) -> None:
    tool.candidates(*many(10))
    tool.run()
    whole, summary = tool.out.read_text(), tool.stderr.splitlines()
    tool.out.write_text("".join(line for line in whole.splitlines(True)[:4]) + torn)
    assert tool.run() == 0
    assert tool.out.read_text() == whole
    assert len(tool.judges[1].seen) == 6
    resumed = tool.stderr.splitlines()
    assert resumed[1].startswith("10 candidates of 1 of 2 problems: 4 judged earlier, 6 judged in")
    assert resumed[2:] == summary[2:]


def test_a_kill_within_the_first_row_starts_over(tool: Tool) -> None:
    tool.candidates(*many(3))
    tool.run()
    whole = tool.out.read_text()
    tool.out.write_text(whole[:20])
    assert tool.run() == 0
    assert tool.out.read_text() == whole


def test_finished_work_is_not_judged_again(tool: Tool) -> None:
    tool.candidates(*many(5))
    tool.run()
    _, _, *rest = tool.stderr.splitlines()
    assert tool.run() == 0
    assert len(tool.judges) == 1
    assert "5 judged earlier, 0 judged" in tool.stderr
    assert tool.stderr.splitlines()[1:] == rest


def test_a_killed_process_resumes_to_the_same_bytes(tool: Tool) -> None:
    slow = "import time\ntime.sleep(0.1)\n"
    tool.candidates(*[candidate(1, slow + GOOD + f"# {i}") for i in range(20)])
    process = start(tool)
    wait_for_rows(tool, 4)
    process.kill()
    process.communicate()
    num_kept = len(tool.rows())
    assert 4 <= num_kept < 20
    rows = judged(tool)
    assert f"{num_kept} judged earlier, {20 - num_kept} judged" in tool.stderr
    assert statuses(rows) == ["passed"] * 20
    assert [row["code"][-2:].strip() for row in rows] == [str(i) for i in range(20)]


def wait_for_rows(tool: Tool, number: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if tool.out.exists() and tool.out.read_bytes().count(b"\n") >= number:
            return
        time.sleep(0.02)
    raise AssertionError("no verdicts were written")


@pytest.mark.parametrize(
    ("number", "code", "word"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")],
)
def test_a_signal_ends_with_one_line_and_keeps_what_is_finished(
    tool: Tool, number: int, code: int, word: str
) -> None:
    endless = "def add_1(x):\n    while True: pass\n"
    tool.candidates(candidate(), candidate(), *[candidate(1, endless + f"# {i}") for i in range(4)])
    process = start(tool, "--timeout-s", "60")
    wait_for_rows(tool, 2)
    process.send_signal(number)
    stderr = process.communicate(timeout=30)[1]
    assert process.returncode == code
    (line,) = stderr.splitlines()
    assert line.startswith(word)
    assert statuses(tool.rows()) == ["passed", "passed"]


def test_ctrl_c_within_a_run_keeps_what_is_finished(tool: Tool) -> None:
    tool.candidates(*many(6))
    tool.stop = (3, KeyboardInterrupt())
    assert tool.run() == 130
    assert tool.stderr.splitlines()[-1].startswith("interrupted: finished verdicts are kept")
    assert len(tool.rows()) == 3
    assert tool.judges[0].closed == 1
    tool.stop = None
    assert tool.run() == 0
    assert len(tool.rows()) == 6


def test_a_full_disk_keeps_whole_rows_only(tool: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    tool.candidates(*many(6))

    class FullDisk:
        """A file that takes three rows and a part of the fourth."""

        def __init__(self, file: Any) -> None:
            self._file, self._left = file, 3

        def write(self, data: memoryview) -> int:
            if self._left <= 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            self._left -= 1
            part = data if self._left else data[:10]
            return int(self._file.write(part))

        def __getattr__(self, name: str) -> Any:
            return getattr(self._file, name)

    opened = verdict_files.VerdictFile.begin

    def begin(self: Any, meta: Any) -> None:
        opened(self, meta)
        self._file = FullDisk(self._file)

    with monkeypatch.context() as patch:
        patch.setattr(verdict_files.VerdictFile, "begin", begin)
        assert tool.run() == 1
    assert tool.stderr.splitlines()[-1].startswith("error: the disk is full")
    assert len(tool.rows()) == 2
    assert tool.run() == 0
    assert len(tool.rows()) == 6


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_devices_are_no_output(tool: Tool) -> None:
    tool.candidates(candidate())
    assert "no regular file" in tool.refused(out=Path("/dev/full"))


def test_the_folder_of_the_output_is_made(tool: Tool) -> None:
    tool.candidates(candidate())
    out = tool.folder / "a" / "b" / "out.jsonl"
    assert tool.run(out=out) == 0
    assert out.is_file()


def test_an_output_that_cannot_be_written_is_refused(tool: Tool) -> None:
    tool.candidates(candidate())
    (tool.folder / "file").touch()
    assert "cannot be written" in tool.refused(out=tool.folder / "file" / "out.jsonl")
    assert "no regular file" in tool.refused(out=tool.folder)


@pytest.mark.skipif(os.getuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_refused(tool: Tool) -> None:
    tool.candidates(candidate())
    closed = tool.folder / "closed"
    closed.mkdir(mode=0o500)
    assert "Permission denied" in tool.refused(out=closed / "out.jsonl")


def test_two_processes_do_not_write_one_output(tool: Tool) -> None:
    tool.candidates(candidate())
    with verdict_files.VerdictFile(tool.out):
        assert "written by another process" in tool.refused()
    assert tool.run() == 0


CHANGES: dict[str, Callable[[Tool], tuple[str, ...]]] = {
    "candidates": lambda tool: tool.candidates(*many(6)) or (),
    "data": lambda tool: tool.write("data.jsonl", [mbpp_row(1)]) or (),
    "timeout_s: 3.0, now 9.0": lambda _: ("--timeout-s", "9"),
    "memory_mb": lambda _: ("--memory-mb", "100"),
    "fraction": lambda _: ("--fraction",),
    "challenge_tests": lambda _: ("--challenge-tests",),
    "skip_invalid": lambda _: ("--skip-invalid",),
    'isolation: "strict", now "best_effort"': lambda _: ("--isolation", "best_effort"),
}


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("num_finished", [2, 5])
def test_other_input_under_the_same_output_is_refused(
    tool: Tool, name: str, num_finished: int
) -> None:
    tool.candidates(*many(5))
    tool.run()
    kept = "".join(tool.out.read_text().splitlines(True)[:num_finished]) + "torn"
    tool.out.write_text(kept)
    line = tool.refused(*CHANGES[name](tool))
    assert "holds verdicts of other input" in line
    assert name in line
    assert tool.out.read_text() == kept


def test_another_isolation_under_the_same_output_is_refused(tool: Tool) -> None:
    tool.candidates(*many(5))
    tool.run()
    tool.out.write_text("".join(tool.out.read_text().splitlines(True)[:2]))
    tool.report = IsolationReport(active=("files",), missing={"network": "gone"})
    assert "layers" in tool.refused()


def test_another_number_of_workers_is_not_other_input(tool: Tool) -> None:
    tool.candidates(*many(5))
    tool.run()
    assert tool.run("--workers", "7") == 0


def test_a_file_of_someone_else_is_not_appended_to(tool: Tool) -> None:
    tool.candidates(candidate())
    tool.out.write_text('{"precious": true}\n')
    assert "does not say what was judged" in tool.refused()
    assert "does not say" in tool.refused(out=tool.folder / "candidates.jsonl")
    assert tool.out.read_text() == '{"precious": true}\n'


def test_an_edited_output_is_refused(tool: Tool) -> None:
    tool.candidates(*many(3))
    tool.run()
    lines = tool.out.read_text().splitlines(True)
    tool.out.write_text("".join([lines[0], '{"task_id": 1}\n', lines[2]]))
    assert "out.jsonl:2 is no row of verdicts" in tool.refused()
    tool.out.write_text("".join([*lines, lines[0]]))
    assert "has more rows" in tool.refused()


BAD_CANDIDATES: dict[str, Any] = {
    "candidates.jsonl:2 is not JSON": '{"task_id": 1,',
    "candidates.jsonl:2 is a list, not an object": "[1]",
    "candidates.jsonl:2 has no 'task_id'": {"code": GOOD},
    "candidates.jsonl:2 has null as 'task_id'": candidate(None),
    "candidates.jsonl:2 has true or false as 'task_id'": candidate(True),
    "candidates.jsonl:2 has neither 'code' nor 'completion'": {"task_id": 1},
    "candidates.jsonl:2 has an integer as 'code'": candidate(1, 3),
    "candidates.jsonl:2 has null as 'completion'": {"task_id": 1, "completion": None},
    "has no problem mbpp/3": candidate(3),
    "has no problem mbpp/taco/1": candidate("taco/1"),
}
BAD_PROBLEMS: dict[str, Any] = {
    "data.jsonl:2 is not JSON": "{",
    "data.jsonl:2 has no 'test_list'": {"task_id": 2},
    "data.jsonl:2 (mbpp/2): test 1 is not Python": mbpp_row(2, test_list=["assert add_2(1"]),
    "data.jsonl:2 repeats mbpp/1": mbpp_row(1),
}


@pytest.mark.parametrize("message", BAD_CANDIDATES)
def test_a_bad_candidate_is_refused_by_line_before_anything_runs(tool: Tool, message: str) -> None:
    tool.candidates(candidate(), BAD_CANDIDATES[message], candidate())
    line = tool.refused()
    assert message in line
    assert "candidates.jsonl:2" in line
    assert not tool.out.exists()


@pytest.mark.parametrize("message", BAD_PROBLEMS)
def test_a_bad_problem_is_refused_by_line_before_anything_runs(tool: Tool, message: str) -> None:
    tool.write("data.jsonl", [mbpp_row(1), BAD_PROBLEMS[message]])
    tool.candidates(candidate())
    assert message in tool.refused()
    assert not tool.out.exists()


def test_bad_problems_of_taco_are_refused_by_line(tool: Tool) -> None:
    tool.dataset = "taco"
    tool.write("data.jsonl", [{"input_output": '{"inputs": ["1"], "outputs": []}'}])
    tool.candidates(candidate(0))
    assert "data.jsonl:1 (taco/0) has 1 inputs, but 0 outputs" in tool.refused()


def test_what_is_invalid_can_be_left_out_and_is_counted(tool: Tool) -> None:
    broken = mbpp_row(2, test_list=["assert add_2(1"])
    tool.write("data.jsonl", [mbpp_row(1), broken, "{"])
    bad = [*BAD_CANDIDATES.values(), candidate(2), candidate(2)]
    tool.candidates(bad[0], candidate(index=0), *bad[1:], candidate(1, WRONG, index=1))
    assert tool.run("--skip-invalid") == 0
    assert [row["index"] for row in tool.rows()] == [0, 1]
    assert f"left out: {len(bad)} candidates, the first: " in tool.stderr
    assert "candidates.jsonl:1 is not JSON" in tool.stderr
    assert "left out: 2 problems, the first: " in tool.stderr
    assert "2 candidates of 1 of 1 problems" in tool.stderr


def test_leaving_out_goes_on_when_resumed(tool: Tool) -> None:
    rows = many(6)
    tool.candidates(rows[0], "{", rows[1], candidate(9), *rows[2:])
    tool.run("--skip-invalid")
    whole = tool.out.read_text()
    tool.out.write_text("".join(whole.splitlines(True)[:2]))
    assert tool.run("--skip-invalid") == 0
    assert tool.out.read_text() == whole


@pytest.mark.parametrize("rows", [[], [""], ["", " "]])
@pytest.mark.parametrize("flags", [[], ["--skip-invalid"]])
def test_a_file_without_candidates_is_refused(
    tool: Tool, rows: list[str], flags: list[str]
) -> None:
    tool.candidates(*rows)
    assert "has no candidates" in tool.refused(*flags)


def test_nothing_left_to_judge_is_refused(tool: Tool) -> None:
    tool.candidates("{", candidate(3))
    assert "no candidate can be judged" in tool.refused("--skip-invalid")


@pytest.mark.parametrize("name", ["data.jsonl", "candidates.jsonl"])
def test_absent_files_are_refused_by_name(tool: Tool, name: str) -> None:
    tool.candidates(candidate())
    (tool.folder / name).unlink()
    assert f"{name} cannot be read (No such file or directory)" in tool.refused("--skip-invalid")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--dataset", "apps"], "'apps'"),
        (["--workers", "0"], "--workers: '0' is no whole number from 1 on"),
        (["--workers", "²"], "--workers"),
        (["--timeout-s", "0"], "--timeout-s: '0' is no number of seconds above 0"),
        (["--timeout-s", "inf"], "--timeout-s"),
        (["--timeout-s", "nan"], "--timeout-s"),
        (["--memory-mb", "1"], "memory_mb is 1"),
        (["--memory-mb", "x"], "--memory-mb"),
        (["--isolation", "none"], "--isolation"),
        (["--fractions"], "--fractions"),
        (["--out"], "--out: expected one argument"),
    ],
)
def test_wrong_flags_are_refused_in_one_line(tool: Tool, flags: list[str], message: str) -> None:
    tool.candidates(candidate())
    assert message in tool.refused(*flags)


def test_without_flags_it_says_what_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    assert judge.run([]) == 2
    assert "--dataset, --data, --candidates, --out" in capsys.readouterr().err


def test_help_lists_every_flag(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        judge.run(["--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    page = (PROJECT_ROOT / "docs" / "judge_tool.md").read_text(encoding="utf-8")
    flags = {
        word
        for word in shown.replace("]", " ").split()
        if word.startswith("--") and word != "--help"
    }
    assert {flag for flag in flags if f"`{flag}" not in page} == set()


def test_it_starts_without_torch() -> None:
    code = (
        "import sys, coderl_exp.judge\n"
        "assert not {'torch', 'transformers', 'trl', 'hydra'} & set(sys.modules), sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=PROJECT_ROOT)


STDIN_FILE = PROJECT_ROOT.parent / "shared" / "data" / "stdin_problems.jsonl"


@pytest.mark.skipif(not STDIN_FILE.exists(), reason="needs the stdin problems")
def test_the_solutions_of_real_stdin_problems_pass(tool: Tool) -> None:
    tool.dataset = "taco"
    rows = [json.loads(line) for line in STDIN_FILE.read_text(encoding="utf-8").splitlines()]
    tool.write("data.jsonl", rows)
    tool.candidates(*[candidate(row["id"], row["solutions"][0]) for row in rows])
    # Two of the solutions are of another problem, which the file says of them.
    wrong = {row["id"] for row in rows if row["oracle_tokens_pass"].startswith("0/")}
    failed = {row["task_id"]: row["error"] for row in judged(tool) if not row["passed"]}
    assert failed.keys() == wrong, failed
