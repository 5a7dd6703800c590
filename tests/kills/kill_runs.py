"""Kill small runs at random moments, half of them in training or just after it, and compare with an undisturbed run.

    python tests/kills/kill_runs.py --kills 20 --seed 1

After each kill the same command runs again in the same folder, until it ends; then a new folder begins: by turns of `snakemake`
and of `scripts/run.py`, as `make` calls it, whose jobs share their imports (warm_start.py). In the end all files
but logs and times must be those of the undisturbed run, to the byte, and no file of a job that Snakemake saw finished may have
been written again. Minutes; `make test-kills` calls it.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
JOB = re.compile(r"^(?:local)?rule \w+:\n((?:    .*\n)+)", re.MULTILINE)
FINISHED = re.compile(r"^Finished jobid: (\d+)", re.MULTILINE)
# How long things took, and where.
TIMES = ("logs", "benchmarks")
SNAKEMAKE = ("-m", "snakemake")
RUN = (str(REPOSITORY / "scripts" / "run.py"),)


def small_config(folder: Path) -> Path:
    """The smallest config without its figures, with a checkpoint an iteration."""
    config = yaml.safe_load((REPOSITORY / "config" / "smallest.yaml").read_text(encoding="utf-8"))
    config["figures"], config["compute"] = [], {"checkpoint_every": 1}
    config["defaults"]["keypoints"]["training"]["iterations"] = 12
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


@dataclass
class Run:
    """A working directory, what runs in it (`program`: arguments of Python), and what was seen finished in it."""

    directory: Path
    config: Path
    program: tuple[str, ...] = SNAKEMAKE
    finished: dict[Path, int] = field(default_factory=dict)

    def start(self) -> subprocess.Popen[bytes]:
        """Snakemake in a session of its own, after the locks of a killed one are removed: as `make` does."""
        arguments = ["--snakefile", str(REPOSITORY / "Snakefile"), "--configfile", str(self.config)]
        unlock = [sys.executable, str(REPOSITORY / "scripts" / "unlock.py"), *arguments]
        subprocess.run(unlock, cwd=self.directory, check=True, capture_output=True)
        line = [sys.executable, *self.program, *arguments, "--cores", "2"]
        with open(self.directory / "snakemake.log", "wb") as log:
            return subprocess.Popen(line, cwd=self.directory, stdout=log, stderr=log, start_new_session=True)

    def note_finished(self) -> None:
        """Remember the files of the jobs that ended; none of them may have been written since it was first seen."""
        # Snakemake's own words, whatever is shown of them.
        logs = sorted((self.directory / ".snakemake" / "log").glob("*.log"), key=lambda path: path.stat().st_mtime_ns)
        text = logs[-1].read_text(errors="replace") if logs else ""
        done = set(FINISHED.findall(text))
        for body in JOB.findall(text):
            fields = dict(re.findall(r"^    ([a-z]+): (.*)$", body, re.MULTILINE))
            if fields.get("jobid") in done:
                for name in filter(None, fields.get("output", "").split(", ")):
                    path = self.directory / name
                    if path.is_file():
                        self.finished.setdefault(path, path.stat().st_mtime_ns)
        self.check_finished()

    def check_finished(self) -> None:
        again = [path for path, when in self.finished.items() if not path.exists() or path.stat().st_mtime_ns != when]
        assert not again, f"finished, and made again: {again}"

    def results(self) -> dict[str, bytes]:
        """Every file of the results but logs and times."""
        root = self.directory / "results"
        paths = (path for path in root.rglob("*") if path.is_file() and not path.is_symlink())
        return {
            str(path.relative_to(root)): path.read_bytes()
            for path in paths
            if not set(TIMES) & set(path.relative_to(root).parts)
        }


def kill(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL to Snakemake and all that it started, at once."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def wait_for_training(run: Run, process: subprocess.Popen[bytes], after: bool, patience: float = 300.0) -> bool:
    """Wait until a training iterates, or (`after`) until it has begun to write its results; false if the run ends before."""
    begun, deadline = time.time(), time.monotonic() + patience
    pattern = "results/*/models/*/drawn.json" if after else "results/*/checkpoints/*.pth"
    while process.poll() is None and time.monotonic() < deadline:
        if any(path.stat().st_mtime > begun for path in run.directory.glob(pattern)):
            return True
        time.sleep(0.005)
    return False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = small_config(folder)
        undisturbed = Run(folder / "undisturbed", config)
        undisturbed.directory.mkdir()
        begun = time.monotonic()
        assert undisturbed.start().wait() == 0, (undisturbed.directory / "snakemake.log").read_text()[-3000:]
        seconds = time.monotonic() - begun
        expected = undisturbed.results()
        print(f"undisturbed: {len(expected)} files in {seconds:.0f} s", flush=True)
        kills = rounds = 0
        kinds = ["any moment", "in training", "any moment", "after training"]
        while kills < arguments.kills:
            rounds += 1
            run = Run(folder / f"round{rounds}", config, RUN if rounds % 2 else SNAKEMAKE)
            run.directory.mkdir()
            while True:
                process = run.start()
                kind = kinds[kills % len(kinds)] if kills < arguments.kills else "none"
                if kind == "any moment":
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        process.wait(rng.uniform(1, 40))
                elif kind != "none" and wait_for_training(run, process, kind == "after training"):
                    time.sleep(rng.uniform(0, 1.5))
                if kind == "none" or process.poll() is not None:
                    assert process.wait() == 0, (run.directory / "snakemake.log").read_text()[-3000:]
                    run.note_finished()
                    break
                kill(process)
                run.note_finished()
                kills += 1
                print(
                    f"kill {kills} of {Path(run.program[-1]).stem}: {kind}, {len(run.finished)} files of finished jobs",
                    flush=True,
                )
            found = run.results()
            different = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
            assert not different, f"round {rounds}: {different}"
        print(f"{kills} kills in {rounds} rounds: {len(expected)} files equal, nothing finished made again", flush=True)


if __name__ == "__main__":
    main()
