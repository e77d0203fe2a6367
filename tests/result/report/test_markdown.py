"""The result in other forms."""

from __future__ import annotations

import csv
import io
import json

import pandas as pd
import pytest
import yaml
from huggingface_hub.repocard_data import model_index_to_eval_results
from made_runs import built_once
from slow_cases import others_slow

from physbench.cli.main import run
from physbench.result.document import ResultDocument
from physbench.result.report.markdown import CSV_COLUMNS, csv_of_clips, csv_of_tasks, markdown, model_index


@pytest.fixture
def result(make_run) -> ResultDocument:
    return built_once(make_run(failed=frozenset({"orbits.kepler-v1.test.3"})), resamples=200)


def named(result: ResultDocument, name: str) -> ResultDocument:
    """The same of a model of another name."""
    return result.model_copy(update={"model": result.model.model_copy(update={"name": name})})


def test_a_hub_reads_the_metadata_of_a_card(result: ResultDocument) -> None:
    name, found = model_index_to_eval_results(yaml.safe_load(model_index(result))["model-index"])
    assert name == result.model.name
    columns = {"overall": result.overall, **result.axes, **result.by_family}
    assert [each.metric_value for each in found] == [round(each.skill, 4) for each in columns.values()]
    assert [each.metric_args["interval_95"] for each in found] == [
        [round(end, 4) for end in each.interval] for each in columns.values()
    ]
    assert found[0].metric_name == "Skill overall" and found[0].task_type == "video-to-video"
    assert (found[0].dataset_name, found[0].dataset_config) == ("physbench core 0", "64x64@15")
    assert found[0].dataset_revision == result.suite.hash


@pytest.mark.parametrize("name", others_slow(['a: "b" # c', "- x\n  y: 1", "\u202ea\u0000", "null", "\U0001f916"], 3))
def test_names_and_reasons_of_others_stay_text_in_metadata(result: ResultDocument, name: str) -> None:
    unknown = result.overall.model_copy(update={"skill": None, "interval": None, "reason": f"no clip\nof {name}"})
    text = model_index(named(result, name).model_copy(update={"overall": unknown}))
    (found,) = yaml.safe_load(text)["model-index"]
    assert found["name"] == name and found["name"].encode()
    assert text.startswith("# Skill overall: not known. no clip of ")
    assert "Skill overall" not in [each["name"] for each in found["results"][0]["metrics"]]


def test_csv_has_a_row_per_task_and_axis(result: ResultDocument) -> None:
    rows = list(csv.DictReader(io.StringIO(csv_of_tasks(result))))
    assert tuple(rows[0]) == CSV_COLUMNS
    assert len(rows) == 4 * 3
    (row,) = (row for row in rows if row["task"] == "falling/projectile-v1" and row["axis"] == "drift")
    found = result.tasks["falling/projectile-v1"]["drift"]
    assert float(row["skill"]) == found.skill
    assert [float(row["skill_low"]), float(row["skill_high"])] == list(found.skill_interval)
    assert float(row["freeze"]) == found.references["freeze"]
    assert row["model"] == result.model.name


def test_no_text_of_a_model_is_a_formula(make_run, result: ResultDocument) -> None:
    (row, *_) = csv.DictReader(io.StringIO(csv_of_tasks(named(result, '=HYPERLINK("http://example.org")'))))
    assert row["model"] == '\'=HYPERLINK("http://example.org")'
    assert float(row["skill"]) == next(iter(result.tasks.values()))["consistency"].skill
    folder = make_run(2, 0)
    table = pd.read_parquet(folder.scores)
    table["reason"] = "@SUM(1)"
    table.to_parquet(folder.scores)
    rows = list(csv.DictReader(io.StringIO(csv_of_clips(folder))))
    assert {row["reason"] for row in rows} == {"'@SUM(1)"}
    assert [row["quality"] for row in rows] == ["" if pd.isna(q) else str(q) for q in table["quality"]]


def test_markdown_answers_first_and_escapes_names(result: ResultDocument) -> None:
    text = markdown(result)
    lines = text.splitlines()
    assert lines[0].startswith(r"### toy \<script\>alert(1)\</script\>: physbench core 0-dev, 128 clips")
    places = [text.index(sentence.split(" [")[0]) for sentence in result.sentences]
    assert places == sorted(places) and places[-1] < text.index("| skill |")
    table = [line for line in lines if line.startswith("|")]
    assert {line.count("|") for line in table} == {6}
    assert len(table) == 2 + 2 + 1 + 4  # header; all families and constant velocity; out of range; tasks
    assert "1 of 128 clips failed and count as 0" in text
    assert "<b>" not in text


def test_markdown_shows_a_name_as_it_is(result: ResultDocument) -> None:
    words = markdown(named(result, "a|b&lt;`c`![d](e)"))
    assert words.startswith(r"### a\|b\&lt;\`c\`\!\[d\](e): physbench")


def test_markdown_of_failures_alone_has_no_table(make_run) -> None:
    clips = frozenset(pd.read_parquet(make_run(2, 0).scores)["clip"])
    text = markdown(built_once(make_run(2, 0, failed=clips, name="failed"), resamples=100))
    assert "No clip could be scored" in text and "|" not in text


def test_forms_from_the_command_line(make_run, tmp_path, capsys) -> None:
    folder = make_run(2, 0)
    path = str(folder.path)
    assert run(["report", path, "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["schema_version"] == 1 and not folder.result.exists()
    assert run(["report", path, "--format", "csv", "--clips", "--out", str(tmp_path / "clips.csv")]) == 0
    assert len(pd.read_csv(tmp_path / "clips.csv")) == len(pd.read_parquet(folder.scores))
    assert run(["report", path, "--format", "md"]) == 0
    assert capsys.readouterr().out.startswith("### toy")
    assert run(["report", path, "--format", "mdd"]) == 2
    assert "md" in capsys.readouterr().err
    assert run(["report", path, "--clips"]) == 2
    assert run(["report", path, "--format", "md", "--out", str(tmp_path)]) == 2
    assert "is a folder" in capsys.readouterr().err
    assert not folder.report.exists()
