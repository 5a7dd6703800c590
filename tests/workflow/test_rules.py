"""Rules read alone: what a command uses is named in its rule, and no value of a config reaches the shell unquoted."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from planning import REPOSITORY, snakemake

TEXTS = [path.read_text(encoding="utf-8") for path in sorted((REPOSITORY / "rules").glob("*.smk"))]
RULES = {
    block.split(":")[0]: block
    for text in TEXTS
    for block in re.split(r"\n(?=rule )", text)
    if block.startswith("rule ")
}
COMMANDS = {
    name: block.split("    shell:\n")[1].split("\n\n")[0] for name, block in RULES.items() if "    shell:\n" in block
}
# Patterns of shards, which bash expands: quoted but for that where they are made.
PATTERNS = {"{params.predictions}", "{params.refinement}", "{params.detections}"}
# What only names a file inside another value of the command.
WITHIN = {
    "split": {"downloads"},
    "sample_frames": {"clips"},
    "train": {"leaks", "fit"},
    "judge_labels": {"leaks"},
    "table": {"evaluations", "labels"},
    "figure": {"shown"},
}


def test_there_are_rules() -> None:
    assert len(COMMANDS) > 18


@pytest.mark.parametrize("rule", COMMANDS)
def test_every_value_in_a_command_is_quoted(rule: str) -> None:
    unquoted = {field for field in re.findall(r"\{[^{}]+\}", COMMANDS[rule]) if not field.endswith(":q}")}
    assert unquoted <= PATTERNS


@pytest.mark.parametrize("rule", COMMANDS)
def test_every_input_is_named_and_used(rule: str) -> None:
    block = RULES[rule]
    assert "unpack(" not in block
    if "    input:\n" not in block or rule in ("rule page", "rule run_times"):
        return
    body = re.split(r"\n    (?=\S)", block.split("    input:\n")[1])[0]
    named = set(re.findall(r"^        (\w+)=", body, re.MULTILINE))
    used = set(re.findall(r"\{input\.(\w+)", COMMANDS[rule])) | {
        name for name in named if re.search(rf"shard_pattern\(input\.{name}\)", block)
    }
    assert used == named - WITHIN.get(rule.removeprefix("rule "), set())


@pytest.mark.parametrize("rule", COMMANDS)
def test_what_a_script_is_to_do_is_called_spec(rule: str) -> None:
    flags = set(re.findall(r"--[a-z-]+", COMMANDS[rule]))
    assert not flags & {"--arguments", "--scene", "--clips", "--definition"}


EVIL = 'it\'s $(touch pwned) `touch pwned`; touch pwned & "x" > pwned {input} *'


def test_text_of_a_config_runs_no_code(smallest: dict[str, Any], tmp_path: Path) -> None:
    smallest["data_note"] = EVIL
    smallest["weights"] = [{"name": "R-50", "path": f"w.{EVIL}"}]
    smallest["defaults"]["keypoints"]["initial"] = "imagenet"
    smallest["splits"].append({"name": "photos", "kind": "folder", "images": EVIL})
    smallest["label_sets"].append({"name": "more", "teacher": "teacher", "unlabelled": "photos"})
    smallest["tables"][0].update(title=EVIL, caption=EVIL, columns=[EVIL, "b"])
    smallest["tables"][0]["rows"][0]["note"] = EVIL
    for figure in smallest["figures"]:
        figure["caption"] = EVIL
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(smallest), encoding="utf-8")
    done = snakemake(tmp_path, "--dry-run", "--printshellcmds", "--", "report_pages", config=config)
    assert done.returncode == 0, done.stderr
    text = done.stdout + done.stderr
    lines = re.findall(
        r"^(?:Shell command: )?(?:exec )?(python \"\$SCRIPTS/.*?)(?: >>? \S+ 2>&1)?$", text, re.MULTILINE
    )
    assert len(lines) > 40
    shown = 0
    for line in lines:
        run = subprocess.run(
            ["bash", "-c", f"python() {{ printf '%s\\n' \"$@\"; }}; {line}"],
            cwd=tmp_path,
            env={"SCRIPTS": "scripts", "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=True,
        )
        shown += EVIL in run.stdout or EVIL.replace('"', '\\"') in run.stdout
    # Notes, captions, the spec of a split, of weights and of a table.
    assert shown >= 12
    assert not (tmp_path / "pwned").exists()
