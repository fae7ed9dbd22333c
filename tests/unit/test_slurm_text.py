"""What Slurm prints, read; what is put to it, made harmless; and the settings of a cluster."""

from __future__ import annotations

from pathlib import Path

import pytest

from api.models.cluster import NodeGpu
from api.models.job import Resources
from api.models.workspace import Workspace
from api.services.executors.base import Observation, RunState, Terms
from api.services.executors.records import doubtful
from api.services.executors.slurm import Choices
from api.services.executors.slurm.commands import TRANSIENT, _shortened
from api.services.executors.slurm.nodes import parse_allocation, parse_nodes
from api.services.executors.slurm.submission import comment, flags
from api.services.executors.slurm.tracks import conclude, waits
from api.settings import SettingError, load

NODES = """\
NodeName=n1 Arch=x86_64 CoresPerSocket=1  CPUAlloc=1 CPUEfctv=2 CPUTot=2 CPULoad=8.61 Gres=gpu:a100:2(S:0-1),gpu:v100:1 \
GresDrain=N/A GresUsed=gpu:a100:1(IDX:1),gpu:v100:0(IDX:N/A) RealMemory=2000 AllocMem=200 FreeMem=18443 State=MIXED \
ThreadsPerCore=1 Partitions=main
NodeName=n2 CPUAlloc=0 CPUTot=64 Gres=(null) GresUsed=gpu:0 RealMemory=4000 AllocMem=0 State=DOWN+DRAIN \
Reason=fire in the rack [root@2026-11-21T16:41:00]
NodeName=n3 CPUTot=4 Gres=gpu:2 GresUsed=gpu:2(IDX:0-1) RealMemory=1 State=IDLE* CfgTRES=cpu=4,mem=1M
NodeName=n4 CPUTot=4 RealMemory=1 State=IDLE+CLOUD+POWERED_DOWN
"""


def test_nodes_are_read() -> None:
    n1, n2, n3, n4 = parse_nodes(NODES)
    assert n1.gpus == (NodeGpu(0, "a100"), NodeGpu(1, "a100", busy=True), NodeGpu(2, "v100"))
    assert (n1.up, n1.cpus, n1.memory, n1.cpus_used, n1.memory_used) == (True, 2, 2000 << 20, 1, 200 << 20)
    assert (n2.up, n2.cpus, n2.gpus) == (False, 64, ())
    assert n2.reason == "fire in the rack [root@2026-11-21T16:41:00]"
    assert not n3.up and [gpu.busy for gpu in n3.gpus] == [True, True]  # IDLE*: it does not answer
    assert n4.up


def test_the_gpus_of_a_job_are_read() -> None:
    shown = "JobId=1 JOB_GRES=gpu:toy:2   Nodes=n1 CPU_IDs=0-1 Mem=200 GRES=gpu:toy:2(IDX:0,3) MinCPUsNode=1"
    assert parse_allocation(shown) == (("n1", 0), ("n1", 3))
    assert parse_allocation("JobId=1 Nodes=n1 CPU_IDs=0 Mem=200 GRES= MinCPUsNode=1") == ()


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("Resources", "is the next, and waits for resources (Resources)"),
        ("ReqNodeNotAvail, UnavailableNodes:n1", "a node that it needs is not available (ReqNodeNotAvail, UnavailableNodes:n1)"),
        ("QOSMaxJobsPerUserLimit", "a limit of its account or quality of service is reached (QOSMaxJobsPerUserLimit)"),
        ("SomethingNew", "waits (SomethingNew)"),
    ],
)  # fmt: skip
def test_reasons_are_told_in_words(reason: str, words: str) -> None:
    assert waits(reason) == words


@pytest.mark.parametrize(
    ("said", "transient"),
    [
        ("sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)", True),
        ("sbatch: error: Batch job submission failed: Socket timed out on send/recv operation", True),
        ("sbatch: error: AssocMaxSubmitJobLimit\nsbatch: error: Batch job submission failed: Job violates accounting/QOS "
         "policy (job submit limit, user's size and/or time limits)", True),
        ("sbatch: error: Batch job submission failed: Invalid partition name specified", False),
        ("sbatch: error: Batch job submission failed: Requested node configuration is not available", False),
    ],
)  # fmt: skip
def test_what_may_work_later_is_told_from_what_never_will(said: str, transient: bool) -> None:
    shortened = _shortened(said, "sbatch")
    assert "sbatch: error" not in shortened and bool(TRANSIENT.search(shortened)) is transient


def test_words_of_a_request_become_arguments_of_their_own() -> None:
    here = Path("/shared/x")
    workspace = Workspace("job-1", 2, here, here, here, here)
    given = Terms(
        Resources(gpus=2, cpus=4, memory=(1 << 20) + 1),
        name="--uid=0\n#SBATCH --exclusive $(id)",
        priority=10,
        max_runtime=61,
        placement={"partition": "debug"},
    )
    made = flags("/shared/x", workspace, given, Choices("gpu", "vision", extra=("--mem=8G",), nice=50))
    assert "--job-name=uid_0_SBATCH_--exclusive_id" in made
    assert made.index("--mem=8G") < made.index("--mem=2M")
    assert {"--partition=debug", "--account=vision", "--cpus-per-task=4", "--gres=gpu:2", "--time=3", "--nice=0"} <= {
        *made
    }
    assert "--partition=gpu" not in made and not any("\n" in flag or " " in flag for flag in made)
    assert f"--comment={comment('/shared/x')}job-1.2" in made
    assert not any(flag.startswith("--nice") for flag in flags("/x", workspace, given, Choices(nice=0)))


RAN = Observation(RunState.EXITED, pid=1, exit_code=-15, started_at=1.0, ended_at=2.0)
NEVER = Observation(RunState.EXITED)


@pytest.mark.parametrize(
    ("seen", "state", "asked", "recorded", "expected"),
    [
        (RAN, "NODE_FAIL", False, True, (RunState.VANISHED, None, False, False)),
        (RAN, "TIMEOUT", False, True, (RunState.EXITED, -15, True, False)),
        (RAN, "OUT_OF_MEMORY", False, False, (RunState.EXITED, -15, False, True)),
        (RAN, "CANCELLED", True, True, (RunState.EXITED, -15, False, False)),
        (RAN, "CANCELLED", False, False, (RunState.VANISHED, -15, False, False)),
        (RAN, "COMPLETED", False, False, (RunState.VANISHED, -15, False, False)),
        (RAN, "GONE", False, False, (RunState.VANISHED, None, False, False)),
        (NEVER, "CANCELLED", True, False, (RunState.EXITED, None, False, False)),
    ],
)
def test_an_end_in_slurm_means(
    seen: Observation, state: str, asked: bool, recorded: bool, expected: tuple[object, ...]
) -> None:
    told = conclude(seen, {"state": state, "node": "n1"}, asked=asked, recorded=recorded)
    assert (told.state, told.exit_code, told.timed_out, told.oom_killed) == expected


def test_what_printed_that_it_was_over_its_memory_was() -> None:
    output = "slurmstepd-n1: error: Exceeded job memory limit"
    assert conclude(RAN, {"state": "FAILED", "output": output}, asked=False, recorded=False).oom_killed
    end = {"state": "FAILED", "node": "n1", "output": "exec: not found"}
    missing = conclude(NEVER, end, asked=False, recorded=False)
    assert missing.error == "nothing began on n1: exec: not found"


def test_only_a_signal_that_was_not_ours_leaves_a_doubt() -> None:
    plain = {"code": 0, "stopped": False, "oom_killed": False}
    assert not doubtful(plain, asked=False)
    assert doubtful({**plain, "code": -15, "stopped": True}, asked=False)
    assert not doubtful({**plain, "code": -15, "stopped": True}, asked=True)
    assert doubtful({**plain, "code": -9}, asked=False) and not doubtful({**plain, "code": -11}, asked=False)
    assert doubtful({**plain, "code": -15}, asked=False)  # it fell before its keeper heard of the same signal
    assert not doubtful({**plain, "code": -9, "oom_killed": True}, asked=False)


# --- settings ---------------------------------------------------------------------------------------------------------


def test_a_cluster_needs_a_shared_directory_that_all_lies_under(tmp_path: Path) -> None:
    given = {"data_dir": str(tmp_path / "data"), "executor": "slurm"}
    with pytest.raises(SettingError, match="TRAINYARD_SHARED_DIR is not set"):
        load(given, {})
    with pytest.raises(SettingError, match="TRAINYARD_LOG_DIR has /var/log/x, which does not lie under"):
        load({**given, "shared_dir": str(tmp_path), "log_dir": "/var/log/x"}, {})
    assert load({**given, "shared_dir": f"{tmp_path}:/scratch", "output_dir": "/scratch/out"}, {}).executor == "slurm"


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("slurm_partition", "a b", "a name of letters"),
        ("slurm_partition", "--uid", "a name of letters"),
        ("slurm_extra", "rm -rf /", "no flag"),
        ("slurm_extra", "--x='", "cannot be read"),
        ("slurm_allow", "user=root", "partition=NAME"),
    ],
)
def test_a_wrong_setting_stops_the_start(tmp_path: Path, name: str, value: str, told: str) -> None:
    with pytest.raises(SettingError, match=told):
        load({"data_dir": str(tmp_path), name: value}, {})


def test_settings_of_slurm_are_read(tmp_path: Path) -> None:
    known = load({"data_dir": str(tmp_path), "slurm_extra": "--constraint='a b' --mem=1G",
                  "slurm_allow": "partition=a,partition=b,qos=c"}, {})  # fmt: skip
    assert known.slurm_extra == ("--constraint=a b", "--mem=1G")
    assert known.slurm_allow == {"partition": {"a", "b"}, "qos": {"c"}}
