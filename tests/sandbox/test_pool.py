"""The workers under stress: any order, dying zygotes, threads, injected failures."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from coderl_exp.config import PROJECT_ROOT, Lane
from coderl_exp.errors import SandboxError
from coderl_exp.records import Program, StdinTest, Verdict, VerdictStatus
from coderl_exp.sandbox import Judge, pool
from coderl_exp.sandbox.lanes import Turn, Work
from coderl_exp.sandbox.pool import Task
from coderl_exp.sandbox.zygotes import Zygote

KINDS = (
    "def f(x): return x + {n}",
    "def f(x): return x + {n} + 1",
    "def f(x): return x / 0 + {n}",
    "def f(x) return {n}",
    "def g(x): return {n}",
    "print({n})\ndef f(x):\n print(x)\n return x + {n}",
    "import os\ndef f(x): return len(os.sep) - 1 + x + {n}",
    "class A:\n def __eq__(s, o): return True\ndef f(x): return A() or {n}",
    "import random\ndef f(x): return x + {n} if random.random() > 0.5 else [{n}]",
    "def f(x): return f(x) + {n}",
)


def some_programs(count: int) -> list[Program]:
    """Every status but timeouts, both lanes, each program different."""
    return [
        Program(
            code=KINDS[number % len(KINDS)].format(n=number),
            entry_point="f",
            tests=(f"assert f(1) == {number + 1}", f"assert f(2) == {number + 2}"),
        )
        for number in range(count)
    ]


def outcomes(judge: Judge, programs: Sequence[Program]) -> list[tuple[object, ...]]:
    return [(v.status, v.tests, v.error, v.output) for v in judge.run(programs)]


def test_any_order_and_grouping_gives_the_same_verdicts(make: Callable[..., Judge]) -> None:
    programs = some_programs(120)
    judge = make()
    expected = dict(zip(programs, outcomes(judge, programs), strict=True))
    assert len({verdict[0] for verdict in expected.values()}) == 5
    for seed in range(4):
        shuffled = random.Random(seed).sample(programs, len(programs))
        assert outcomes(judge, shuffled) == [expected[program] for program in shuffled]
    alone = [outcomes(judge, [program])[0] for program in programs]
    assert alone == list(expected.values())
    strict = make(lane=Lane.strict, num_workers=1)
    assert outcomes(strict, programs) == list(expected.values())


@pytest.mark.slow
def test_zygotes_killed_at_random_change_no_verdict(make: Callable[..., Judge]) -> None:
    programs = some_programs(10_000)
    judge = make(num_workers=2)
    expected = outcomes(judge, programs)
    done, kills = threading.Event(), 0

    def kill() -> None:
        nonlocal kills
        chance = random.Random(1)
        while not done.wait(chance.uniform(0.1, 1.0)):
            children = psutil.Process().children(recursive=True)
            for process in chance.sample(children, min(1, len(children))):
                kills += 1
                process.send_signal(chance.choice((signal.SIGKILL, signal.SIGTERM)))

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        assert outcomes(judge, programs) == expected
    finally:
        done.set()
        killer.join()
    assert kills > 5


def test_injected_failures_are_counted_and_leave_the_others_alone(
    make: Callable[..., Judge], monkeypatch: pytest.MonkeyPatch
) -> None:
    programs, judge = some_programs(60), make()
    expected = outcomes(judge, programs)
    judge_alone, judge_batch = pool.judge_alone, pool.judge_batch

    def is_hit(task: object) -> bool:
        number = int(task.program.tests[0].rsplit(" ", 1)[1])  # type: ignore[attr-defined]
        return number % 5 == 0

    def alone(zygote: Zygote, work: object, turn: Turn) -> object:
        if is_hit(work):
            raise SandboxError("injected")
        return judge_alone(zygote, work, turn)  # type: ignore[arg-type]

    def batch(
        zygote: Zygote,
        works: Sequence[object],
        turn: Turn,
        take_verdict: Callable[[int, Verdict], None],
    ) -> object:
        if any(map(is_hit, works)):
            raise SandboxError("injected")
        return judge_batch(zygote, works, turn, take_verdict)  # type: ignore[arg-type]

    monkeypatch.setattr(pool, "judge_alone", alone)
    monkeypatch.setattr(pool, "judge_batch", batch)
    hit = outcomes(judge, programs)
    failed = [verdict for verdict in hit if verdict[0] is VerdictStatus.sandbox_error]
    assert len(failed) == 12
    assert all(got == want or got in failed for got, want in zip(hit, expected, strict=True))


def test_several_threads_share_one_judge(make: Callable[..., Judge]) -> None:
    judge, programs = make(), some_programs(60)
    expected = outcomes(judge, programs)
    with ThreadPoolExecutor(6) as threads:
        for got in threads.map(lambda _: outcomes(judge, programs), range(6)):
            assert got == expected


def test_identical_programs_are_judged_once(
    make: Callable[..., Judge], monkeypatch: pytest.MonkeyPatch
) -> None:
    submitted: list[Task] = []
    submit = pool.Pool.submit

    def counted(self: pool.Pool, task: Task) -> None:
        submitted.append(task)
        submit(self, task)

    monkeypatch.setattr(pool.Pool, "submit", counted)
    program = some_programs(1)[0]
    assert all(verdict.passed for verdict in make().run([program] * 50))
    assert len(submitted) == 1


def test_a_timeout_at_the_edge_is_looked_at_again_alone(make: Callable[..., Judge]) -> None:
    judge = make(timeout_s=0.5, wall_timeout_factor=20.0)
    code = (
        "import time\ntries = 0\ndef f(x):\n"
        " end = time.process_time() + 0.6\n while time.process_time() < end: pass\n return 2"
    )
    program = Program(code=code, entry_point="f", tests=("assert f(1) == 2",))
    started = time.monotonic()
    verdict = next(judge.run([program]))
    assert verdict.status is VerdictStatus.timeout
    assert verdict.error == "the CPU limit was reached"
    assert time.monotonic() - started > 1.1  # it ran twice


def test_a_program_may_have_a_limit_of_its_own(make: Callable[..., Judge]) -> None:
    code = "def f(x):\n n = 0\n while n < 4 * 10**6: n += 1\n return 2"
    tests = ("assert f(1) == 2",)
    judge = make(timeout_s=0.02, wall_timeout_factor=50.0)
    assert not next(judge.run([Program(code=code, entry_point="f", tests=tests)])).passed
    longer = Program(code=code, entry_point="f", tests=tests, timeout_s=20.0)
    assert next(judge.run([longer])).passed


@pytest.mark.slow
def test_a_zygote_that_has_forked_often_still_lets_threads_start(
    make: Callable[..., Judge],
) -> None:
    judge = make(lane=Lane.strict, num_workers=1)
    list(judge.run(some_programs(400)))
    code = (
        "import threading\nseen = []\ndef f(x):\n"
        " ts = [threading.Thread(target=seen.append, args=(n,)) for n in range(8)]\n"
        " for t in ts: t.start()\n for t in ts: t.join()\n return len(seen)"
    )
    program = Program(code=code, entry_point="f", tests=("assert f(1) == 8",))
    assert next(judge.run([program])).passed


def test_nothing_grows_with_the_number_of_judgements(make: Callable[..., Judge]) -> None:
    judge, process = make(), psutil.Process()

    def used() -> tuple[int, int, int]:
        children = process.children(recursive=True)
        return process.num_fds(), len(children), process.num_threads()

    def least() -> tuple[int, int, int]:
        """A batch's process is still ending when its last verdict is there."""
        list(judge.run(some_programs(400)))
        return min(used() for _ in range(20) if not time.sleep(0.05))

    assert least() == least() == least()


@pytest.mark.slow
def test_a_judge_that_is_killed_leaves_no_process() -> None:
    script = (
        "import sys; sys.path.insert(0, '.')\n"
        "from coderl_exp.sandbox import make_judge\nfrom coderl_exp.records import Program\n"
        "from tests.conftest import sandbox_config\n"
        "code = 'import time\\ndef f(x): time.sleep(60)'\n"
        "judge = make_judge(sandbox_config(timeout_s=60.0))\n"
        "print(1, flush=True)\n"
        "tests = ('assert f(1)',)\n"
        "p = [Program(code=code + f'\\n#{n}', entry_point='f', tests=tests) for n in '12']\n"
        "list(judge.run(p))"
    )
    judge = subprocess.Popen([sys.executable, "-c", script], cwd=PROJECT_ROOT, stdout=-1)
    assert judge.stdout is not None
    judge.stdout.readline()
    time.sleep(1.0)
    children = psutil.Process(judge.pid).children(recursive=True)
    assert len(children) >= 4
    os.kill(judge.pid, signal.SIGKILL)
    judge.wait()
    judge.stdout.close()
    _, alive = psutil.wait_procs(children, timeout=1.0)
    assert not [p for p in alive if p.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.slow
def test_a_process_with_torch_threads_can_judge() -> None:
    script = (
        "import sys; sys.path.insert(0, '.')\nimport torch\n"
        "torch.set_num_threads(2)\nx = torch.rand(512, 512)\nx @ x\n"
        "from coderl_exp.sandbox import make_judge\n"
        "from tests.conftest import sandbox_config\n"
        "from tests.sandbox.test_pool import some_programs\n"
        "judge = make_judge(sandbox_config())\n"
        "print(sum(v.passed for v in judge.run(some_programs(50))))\nx @ x\njudge.close()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "20\n"


def test_programs_of_both_kinds_share_a_batch(make: Callable[..., Judge]) -> None:
    tests = (StdinTest(stdin="1\n", stdout="2\n"), StdinTest(stdin="2\n", stdout="3\n"))
    whole = [
        Program(code=code + f"\n# {n}", entry_point=None, tests=tests)
        for n, code in enumerate(
            ["print(int(input()) + 1)", "print(", "print(2)", "print(int(input()) + 1)"] * 5
        )
    ]
    mixed = [p for pair in zip(whole, some_programs(20), strict=True) for p in pair]
    verdicts = outcomes(make(), mixed)
    assert [v[0] for v in verdicts[::2]] == [
        *("passed", "syntax_error", "wrong_answer", "passed") * 5
    ]
    assert [v[0] for v in verdicts[1::2]] == [v[0] for v in outcomes(make(), some_programs(20))]


def test_a_program_that_leaves_the_batch_lane_goes_on_where_it_was(
    make: Callable[..., Judge], monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "n = int(input())\nfor i in range(n): pass\nprint(n)"
    runs = tuple(StdinTest(stdin=f"{n}\n", stdout=f"{n}\n") for n in (1, 2, 10_000_000, 3))
    program = Program(code=code, entry_point=None, tests=runs)
    alone: list[int] = []
    judge_alone = pool.judge_alone

    def noted(zygote: Zygote, work: Work, turn: Turn) -> object:
        alone.append(work.begun.num_passed)
        return judge_alone(zygote, work, turn)

    monkeypatch.setattr(pool, "judge_alone", noted)
    verdict = next(make(num_workers=1).run([program]))
    assert (verdict.passed, len(verdict.tests), alone) == (True, 4, [2])
    assert verdict.output == "1\n"
