"""The launcher for several nodes, with a stand-in for Slurm: every "node" runs here, and joins the others."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
SRUN = """#!/usr/bin/env bash
# Runs the command once for each node.
nodes=${1#--nodes=}
shift 3
for (( node = 0; node < nodes; node++ )); do
  SLURM_NNODES=$nodes SLURM_NODEID=$node SLURM_STEP_NODELIST=nodes "$@" &
done
code=0
for (( node = 0; node < nodes; node++ )); do wait -n || code=$?; done
exit $code
"""
SCONTROL = "#!/usr/bin/env bash\necho 127.0.0.1\necho 127.0.0.2\n"
MEET = r"""
import os, torch
torch.distributed.init_process_group("gloo")
total = torch.ones(1)
torch.distributed.all_reduce(total)
# In one piece: the processes write to the same pipe.
os.write(1, f"{os.environ['GROUP_RANK']} {os.environ['RANK']} {int(total)}\n".encode())
torch.distributed.destroy_process_group()
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    for name, text in (("srun", SRUN), ("scontrol", SCONTROL)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    path = os.pathsep.join([str(tmp_path), str(Path(sys.executable).parent), os.environ["PATH"]])
    launcher = f"bash {REPOSITORY}/profiles/slurm/launch_nodes.sh 2 {{processes}}"
    job = str(os.getpid())
    return {**os.environ, "PATH": path, "SLURM_JOB_ID": job, "DATADISTILL_LAUNCHER": launcher, "OMP_NUM_THREADS": "1"}


def launch(environment: dict[str, str], processes: int, script: Path) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, str(REPOSITORY / "scripts" / "launch.py"), "--processes", str(processes), "--", str(script)]
    return subprocess.run(line, env=environment, capture_output=True, text=True, check=False, timeout=300)


def test_processes_on_two_nodes_find_each_other(environment: dict[str, str], tmp_path: Path) -> None:
    script = tmp_path / "meet.py"
    script.write_text(MEET)
    done = launch(environment, 2, script)
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.split("\n")[:-1]) == ["0 0 2", "1 1 2"]


def test_processes_that_nodes_can_t_share_equally_are_refused(environment: dict[str, str], tmp_path: Path) -> None:
    done = launch(environment, 3, tmp_path / "never.py")
    assert done.returncode == 2
    assert "3 processes can't be shared equally by 2 nodes" in done.stderr
