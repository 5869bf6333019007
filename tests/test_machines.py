"""Which machines train together: from the options, or from the variables of a Slurm job step."""

from __future__ import annotations

import pytest

from coderl_exp.errors import ConfigError
from coderl_exp.launch import check_launch
from coderl_exp.machines import Machines, find_machines, first_host
from tests.test_conf import composed

STEP = {
    "SLURM_JOB_ID": "4711",
    "SLURM_STEP_NUM_NODES": "2",
    "SLURM_STEP_NUM_TASKS": "2",
    "SLURM_STEP_NODELIST": "gpu[07-08]",
    "SLURM_NODEID": "1",
}
"""What srun sets in the second of two tasks."""
ONE = Machines(count=1, rank=0, main_ip="127.0.0.1", main_port=0)


def machines(*options: str, **environment: str) -> Machines:
    return find_machines(composed(*options).accelerate, environment)


def test_a_step_on_two_nodes_is_two_machines_that_agree_on_the_first() -> None:
    second = machines("accelerate=ddp", **STEP)
    first = machines("accelerate=ddp", **{**STEP, "SLURM_NODEID": "0"})
    assert (first.rank, second.rank) == (0, 1)
    assert second.main_ip == first.main_ip == "gpu07"
    assert second.main_port == first.main_port


def test_jobs_side_by_side_take_different_ports() -> None:
    ports = {machines("accelerate=ddp", **{**STEP, "SLURM_JOB_ID": str(i)}).main_port
             for i in range(990, 1010)}  # fmt: skip
    assert len(ports) == 20
    assert all(1024 < port < 32768 for port in ports), "ephemeral ports begin at 32768"


def test_the_batch_script_itself_is_one_machine_however_many_nodes_its_job_has() -> None:
    batch = {"SLURM_JOB_ID": "4711", "SLURM_NNODES": "2", "SLURM_NODEID": "0"}
    assert machines("accelerate=ddp", **batch) == ONE


def test_one_process_is_one_machine_in_any_step() -> None:
    assert machines("accelerate=single", **STEP) == ONE
    with pytest.raises(ConfigError, match=r"num_machines is 2, but accelerate=single"):
        composed("accelerate.num_machines=2")


def test_options_come_before_the_variables() -> None:
    options = ("accelerate.main_process_ip=10.0.0.7", "accelerate.main_process_port=1234")
    assert machines("accelerate=ddp", *options, **STEP) == Machines(
        count=2, rank=1, main_ip="10.0.0.7", main_port=1234
    )
    assert machines("accelerate=ddp", "accelerate.num_machines=1", **STEP) == ONE


def test_several_tasks_on_a_node_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"16 tasks on 2 nodes.*--ntasks-per-node=1"):
        machines("accelerate=ddp", **{**STEP, "SLURM_STEP_NUM_TASKS": "16"})


@pytest.mark.parametrize("missing", ["machine_rank", "main_process_ip"])
def test_an_unknown_machine_is_refused(missing: str) -> None:
    options = {"machine_rank": "1", "main_process_ip": "10.0.0.7"}
    del options[missing]
    given = [f"accelerate.{name}={value}" for name, value in options.items()]
    with pytest.raises(ConfigError, match=f"accelerate.{missing} is null"):
        machines("accelerate=ddp", "accelerate.num_machines=2", *given)


def test_a_rank_beyond_the_machines_is_refused() -> None:
    with pytest.raises(ConfigError, match="machine_rank is 2 of 2 machines"):
        machines("accelerate=ddp", "accelerate.machine_rank=2", **STEP)


def test_processes_are_shared_out_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**STEP, "SLURM_STEP_NUM_NODES": "3", "SLURM_STEP_NUM_TASKS": "3"}.items():
        monkeypatch.setenv(name, value)
    check_launch(composed("accelerate=ddp", "accelerate.num_processes=6").accelerate)
    with pytest.raises(ConfigError, match="num_processes is 2 on 3 machines"):
        check_launch(composed("accelerate=ddp").accelerate)


@pytest.mark.parametrize(
    ("nodelist", "host"),
    [
        ("localhost", "localhost"),
        ("gpu[07-09,12],big1", "gpu07"),
        ("big1,gpu[07-09,12]", "big1"),
        ("rack[2-3]n[10,12]", "rack2n10"),
        ("node-a[1-2].cluster.org", "node-a1.cluster.org"),
    ],
)
def test_the_first_host_of_a_list_is_found(nodelist: str, host: str) -> None:
    assert first_host(nodelist) == host
