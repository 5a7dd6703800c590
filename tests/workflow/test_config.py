"""A bad config ends in one sentence that names the key; a good one is complete."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from datadistill.errors import UserError
from datadistill.model.network import check_backbone
from datadistill.report.published import load_published
from datadistill.workflow import experiments as experiments_module
from datadistill.workflow.config import command_line_values, complete_config, load_config
from datadistill.workflow.experiments import build_experiments
from datadistill.workflow.outputs import outputs, table_evaluations, table_spec

CONFIG_FOLDER = Path(__file__).resolve().parents[2] / "config"
# A config names its run; other files there hold facts that scripts look up.
CONFIGS = sorted(path for path in CONFIG_FOLDER.glob("*.yaml") if "\nrun:" in path.read_text(encoding="utf-8"))
Config = dict[str, Any]


def check(config: Config) -> None:
    """All that happens to a config before the first job."""
    experiments = build_experiments(complete_config(config))
    outputs(experiments)
    for table in experiments.config["tables"]:
        table_spec(experiments, table["name"])
        table_evaluations(experiments, table["name"])


def named(config: Config, key: str, name: str) -> Config:
    return next(entry for entry in config[key] if entry["name"] == name)


def refusal(config: Config) -> str:
    with pytest.raises(UserError) as caught:
        check(config)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_of_the_repository_builds(path: Path) -> None:
    experiments = build_experiments(load_config(path))
    assert experiments.models
    assert experiments.evaluations
    assert outputs(experiments)


def test_the_smallest_config_is_accepted_as_it_is(smallest: Config) -> None:
    check(smallest)


def test_completing_changes_neither_the_config_nor_a_complete_one(smallest: Config) -> None:
    before = copy.deepcopy(smallest)
    completed = complete_config(smallest)
    assert smallest == before
    assert complete_config(completed) == completed
    assert completed["compute"]["train"]["threads"] == 1
    assert completed["labelling"]["score_floor"] == 0.05
    assert named(completed, "splits", "labelled")["domain"] == "home"


# Each case: what a user got wrong, and what the sentence must contain.
def unknown_top_key(config: Config) -> None:
    config["sedes"] = [1]


def unknown_nested_key(config: Config) -> None:
    training = config["defaults"]["keypoints"]["training"]
    training["batchsize"] = training.pop("batch_size")


def unknown_key_of_a_model(config: Config) -> None:
    named(config, "models", "teacher")["initail"] = "random"


def unknown_key_of_a_split(config: Config) -> None:
    named(config, "splits", "val")["imagse"] = 3


def key_of_another_kind_of_split(config: Config) -> None:
    named(config, "splits", "val")["annotations"] = "val.json"


def unknown_kind_of_split(config: Config) -> None:
    named(config, "splits", "val")["kind"] = "renderd"


def misspelt_choice(config: Config) -> None:
    named(config, "models", "teacher")["initial"] = "imagnet"


def text_for_a_number(config: Config) -> None:
    named(config, "models", "teacher")["training"] = {"iterations": "many"}


def scientific_notation(config: Config) -> None:
    named(config, "models", "teacher")["training"] = {"weight_decay": "1e-5"}


def number_for_text(config: Config) -> None:
    config["data_note"] = 3


def fraction_of_an_iteration(config: Config) -> None:
    named(config, "models", "teacher")["training"] = {"iterations": 3.5}


def ratio_above_one(config: Config) -> None:
    named(config, "models", "distilled")["training"] = {"labelled_ratio": 1.5}


def ratio_below_zero(config: Config) -> None:
    named(config, "models", "distilled")["training"] = {"labelled_ratio": -0.1}


def part_above_one(config: Config) -> None:
    named(config, "models", "distilled")["fraction"] = 1.2


def no_seed(config: Config) -> None:
    config["seeds"] = []


def missing_key(config: Config) -> None:
    del named(config, "models", "teacher")["labelled"]


def missing_iterations(config: Config) -> None:
    del config["defaults"]["keypoints"]["training"]["iterations"]


def run_that_is_a_path(config: Config) -> None:
    config["run"] = "../elsewhere"


def unknown_backbone(config: Config) -> None:
    config["defaults"]["keypoints"]["network"]["backbone"] = "R-5O"


def repeated_model(config: Config) -> None:
    config["models"].append(dict(named(config, "models", "teacher")))


def repeated_split(config: Config) -> None:
    config["splits"].append(dict(named(config, "splits", "val")))


def student_teaches_itself(config: Config) -> None:
    named(config, "label_sets", "pool")["teacher"] = "distilled"


def split_of_itself(config: Config) -> None:
    named(config, "splits", "pool")["of"] = "pool"


def unknown_split(config: Config) -> None:
    named(config, "models", "teacher")["labelled"] = "labeled"


def unknown_label_set(config: Config) -> None:
    named(config, "models", "distilled")["label_set"] = "pol"


def unknown_teacher(config: Config) -> None:
    named(config, "label_sets", "pool")["teacher"] = "teacer"


def unknown_model_of_a_row(config: Config) -> None:
    config["tables"][0]["rows"][0]["model"] = "distiled"


def unknown_transforms(config: Config) -> None:
    config["labelling"]["transforms"] = "standart"


def unknown_evaluation_split(config: Config) -> None:
    config["evaluate_on"]["keypoints"] = "vla"


def no_evaluation_split(config: Config) -> None:
    config["evaluate_on"] = {}


def unknown_table_to_build(config: Config) -> None:
    config["build"] = ["table1b"]


def too_few_cells(config: Config) -> None:
    config["tables"][0]["rows"][1]["cells"] = ["12 scenes"]


def baseline_beyond_the_table(config: Config) -> None:
    config["tables"][0]["baseline"] = 3


def row_that_the_paper_lacks(config: Config) -> None:
    config["tables"][0]["rows"][0]["published"] = "table1a.4"


def model_and_best_of(config: Config) -> None:
    config["tables"][0]["rows"][0]["best_of"] = ["teacher"]


def figure_of_an_unknown_label_set(config: Config) -> None:
    named(config, "figures", "figure3")["label_set"] = "pol"


def figure_without_its_label_set(config: Config) -> None:
    del named(config, "figures", "figure3")["label_set"]


def figure_of_an_unknown_model(config: Config) -> None:
    named(config, "figures", "losses")["models"] = ["teachr"]


def teacher_of_nobody(config: Config) -> None:
    named(config, "models", "teacher")["initial"] = "teacher"


def fine_tuned_teacher_of_another_width(config: Config) -> None:
    named(config, "models", "distilled").update(initial="teacher", network={"fpn_channels": 32})


def label_set_of_another_task(config: Config) -> None:
    config["defaults"]["objects"] = config["defaults"]["keypoints"]
    named(config, "models", "distilled")["task"] = "objects"


def table_of_another_task(config: Config) -> None:
    config["tables"][0]["task"] = "objects"


def weights_that_nobody_named(config: Config) -> None:
    # Of R-50 they are known.
    named(config, "models", "teacher").update(initial="imagenet", network={"backbone": "R-101"})


FAULTS: list[tuple[Callable[[Config], None], list[str]]] = [
    (unknown_top_key, ["unknown key 'sedes'", "did you mean 'seeds'?"]),
    (unknown_nested_key, ["defaults: keypoints: training:", "unknown key 'batchsize'", "did you mean 'batch_size'?"]),
    (unknown_key_of_a_model, ["models: teacher:", "unknown key 'initail'", "did you mean 'initial'?"]),
    (unknown_key_of_a_split, ["splits: val:", "unknown key 'imagse'", "did you mean 'images'?"]),
    (key_of_another_kind_of_split, ["splits: val:", "unknown key 'annotations'"]),
    (unknown_kind_of_split, ["splits: val:", "'renderd'", "did you mean 'rendered'?"]),
    (misspelt_choice, ["models: teacher: initial:", "'imagnet'", "did you mean 'imagenet'?"]),
    (text_for_a_number, ["models: teacher: training: iterations:", "'many'", "integer"]),
    (scientific_notation, ["models: teacher: training: weight_decay:", "'1e-5'", "write 1.0e-05"]),
    (number_for_text, ["data_note:", "3", "string"]),
    (fraction_of_an_iteration, ["models: teacher: training: iterations:", "3.5", "integer"]),
    (ratio_above_one, ["models: distilled: training: labelled_ratio:", "1.5", "maximum of 1"]),
    (ratio_below_zero, ["models: distilled: training: labelled_ratio:", "-0.1", "minimum of 0"]),
    (part_above_one, ["models: distilled: fraction:", "1.2", "maximum of 1"]),
    (no_seed, ["seeds:", "[]"]),
    (missing_key, ["models: teacher:", "'labelled' is missing"]),
    (missing_iterations, ["models: teacher: training:", "'iterations' is missing"]),
    (run_that_is_a_path, ["run:", "'../elsewhere'"]),
    (unknown_backbone, ["models: teacher: network: backbone:", "'R-5O'", "nearest: 'R-50'", "timm:NAME"]),
    (repeated_model, ["models:", "'teacher' is given twice"]),
    (repeated_split, ["splits:", "'val' is given twice"]),
    (student_teaches_itself, ["model distilled -> label set pool -> model distilled", "circle"]),
    (split_of_itself, ["split pool -> split pool", "circle"]),
    (unknown_split, ["models: teacher: labelled:", "no split named 'labeled'", "did you mean 'labelled'?"]),
    (unknown_label_set, ["models: distilled: label_set:", "no label set named 'pol'", "did you mean 'pool'?"]),
    (unknown_teacher, ["label_sets: pool: teacher:", "no model named 'teacer'", "did you mean 'teacher'?"]),
    (unknown_model_of_a_row, ["tables: table1a: row 1", "no model named 'distiled'", "did you mean 'distilled'?"]),
    (unknown_transforms, ["transforms:", "no transform set named 'standart'", "did you mean 'standard'?"]),
    (unknown_evaluation_split, ["evaluate_on: keypoints:", "no split named 'vla'", "did you mean 'val'?"]),
    (no_evaluation_split, ["evaluate_on:", "keypoints"]),
    (unknown_table_to_build, ["build:", "'table1b'", "did you mean 'table1a'?"]),
    (too_few_cells, ["tables: table1a: row 2", "1 cells for 2 columns"]),
    (baseline_beyond_the_table, ["tables: table1a: baseline:", "no row 3"]),
    (row_that_the_paper_lacks, ["tables: table1a: row 1:", "'table1a.4'", "table1a.1 to table1a.3"]),
    (model_and_best_of, ["tables: table1a: rows: entry 1:", "exactly one of", "model or best_of"]),
    (figure_of_an_unknown_label_set, ["figures: figure3: label_set:", "'pol'", "did you mean 'pool'?"]),
    (figure_without_its_label_set, ["figures: figure3: label_set:", "missing"]),
    (figure_of_an_unknown_model, ["figures: losses:", "'teachr'", "did you mean 'teacher'?"]),
    (teacher_of_nobody, ["models: teacher: initial:", "label_set"]),
    (fine_tuned_teacher_of_another_width, ["models: distilled: initial:", "'teacher'", "network"]),
    (label_set_of_another_task, ["models: distilled: label_set:", "'teacher' labels keypoints"]),
    (table_of_another_task, ["tables: table1a: row 1:", "'teacher' learns keypoints"]),
    (weights_that_nobody_named, ["weights:", "'R-101'"]),
]


@pytest.mark.parametrize(("fault", "expected"), FAULTS, ids=[fault.__name__ for fault, _ in FAULTS])
def test_a_fault_is_named(smallest: Config, fault: Callable[[Config], None], expected: list[str]) -> None:
    fault(smallest)
    message = refusal(smallest)
    assert all(part in message for part in expected), message


@pytest.mark.parametrize("content", ["", "- a list", "just text", "a: [1"])
def test_a_file_that_holds_no_mapping_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(content)
    with pytest.raises(UserError, match=r"mapping|not valid YAML"):
        load_config(path)


def test_values_of_the_command_line_are_what_yaml_would_read() -> None:
    given = {
        "run": "7",
        "seeds": ["1", 2],
        "compute": {"train": {"threads": "4"}, "compress": "true"},
        "columns": ["a", "null"],
    }
    assert command_line_values(given) == {
        "run": "7",
        "seeds": [1, 2],
        "compute": {"train": {"threads": 4}, "compress": True},
        "columns": ["a", None],
    }


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"absent\.yaml: no such config"):
        load_config(tmp_path / "absent.yaml")


def test_an_unknown_timm_model_is_named_with_the_nearest() -> None:
    check_backbone("timm:resnet18", "models: m: network: backbone")
    with pytest.raises(UserError, match=r"^models: m: network: backbone: .*'resnet81'.*nearest: 'resnet"):
        check_backbone("timm:resnet81", "models: m: network: backbone")


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value of a config."""
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in items:
        yield from places(child, (*path, key))


def test_no_damage_to_any_value_ends_in_a_traceback(smallest: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    published = load_published(experiments_module.PUBLISHED)
    monkeypatch.setattr(experiments_module, "load_published", lambda _: published)
    absent = object()
    refused: list[str] = []
    tracebacks: list[str] = []
    tried = 0
    for path in places(smallest):
        for value in (absent, None, "text", -1, 0.5, [], {}):
            damaged = copy.deepcopy(smallest)
            node: Any = damaged
            for step in path[:-1]:
                node = node[step]
            if value is absent:
                del node[path[-1]]
            else:
                node[path[-1]] = value
            tried += 1
            try:
                check(damaged)
            except UserError as error:
                refused.append(str(error))
            except Exception as error:
                tracebacks.append(f"{path} = {'absent' if value is absent else value!r}: {error!r}")
    assert not tracebacks
    assert not [message for message in refused if "\n" in message]
    assert len(refused) > tried / 2


def test_yaml_anchors_and_comments_are_no_part_of_a_config(repository: Path, tmp_path: Path) -> None:
    text = (repository / "config" / "smallest.yaml").read_text(encoding="utf-8")
    commented = tmp_path / "commented.yaml"
    commented.write_text("# another remark\n" + text + "# the end\n", encoding="utf-8")
    plain = tmp_path / "plain.yaml"
    plain.write_text(yaml.safe_dump(yaml.safe_load(text)), encoding="utf-8")
    assert load_config(commented) == load_config(plain) == load_config(repository / "config" / "smallest.yaml")
