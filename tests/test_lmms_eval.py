"""The task for lmms-eval, by the interface of its version 0.7.2: functions of the YAML, answers of generators."""

from __future__ import annotations

import importlib.util
import json
import math
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import yaml

from physbench.clips.clip import Row
from physbench.clips.export import export
from physbench.clips.suite import Suite
from physbench.world.scene import RenderSpec

TASK = Path(__file__).parents[1] / "integrations" / "lmms-eval" / "physbench_video"
FIELDS = {  # of its TaskConfig
    *("task", "dataset_path", "dataset_kwargs", "test_split", "output_type", "generation_kwargs", "metadata"),
    *("doc_to_visual", "doc_to_text", "doc_to_target", "doc_to_messages", "process_results", "metric_list"),
}
RECORDER = """
import json, pathlib, sys
args = sys.argv[1:]
out = pathlib.Path(args[args.index("--out") + 1])
out.mkdir(parents=True)
log = out.with_suffix(".log")
log.write_text(json.dumps(args))
axes = {axis: {"skill": skill} for axis, skill in (("consistency", 0.4), ("permanence", 0.5), ("drift", 0.6))}
(out / "result.json").write_text(json.dumps({"overall": {"skill": None}, "axes": axes, "lawful": {"seconds": 1.5}}))
"""


def loaded() -> ModuleType:
    """utils.py, loaded by its path as lmms-eval does for each function of the YAML."""
    spec = importlib.util.spec_from_file_location("utils", TASK / "utils.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Functions(yaml.SafeLoader):
    """Reads `!function utils.NAME` as lmms-eval does."""


Functions.add_constructor(
    "!function", lambda loader, node: getattr(loaded(), loader.construct_scalar(node).removeprefix("utils."))
)


@pytest.fixture(scope="module")
def task() -> dict[str, Any]:
    return yaml.load((TASK / "physbench_video.yaml").read_text(), Functions)


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> Path:
    """An export of two clips with three context frames."""
    folder = tmp_path_factory.mktemp("lmms") / "cond"
    rows = (Row("falling/projectile-v1", "test", 0), Row("falling/projectile-v1", "test", 1))
    export(Suite("smoke", 4, rows), RenderSpec(64, 64, 10), 3, folder, tasks="falling/projectile", limit=2)
    return folder


@pytest.fixture
def module(exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The functions on that export, with a physbench that writes down what it is asked."""
    (tmp_path / "recorder.py").write_text(RECORDER)
    monkeypatch.setenv("PHYSBENCH", f"{sys.executable} {tmp_path / 'recorder.py'}")
    monkeypatch.setenv("PHYSBENCH_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("PHYSBENCH_OPTIONS", "--model-arg fit=cover")
    found = loaded()
    found.EXPORT = exported
    return found


def clips(exported: Path) -> list[dict[str, Any]]:
    return json.loads((exported / "manifest.json").read_text())["clips"]


def test_the_yaml_has_fields_of_lmms_eval_and_a_value_of_each_metric(task: dict[str, Any]) -> None:
    assert set(task) == FIELDS
    metrics = [each["metric"] for each in task["metric_list"]]
    assert list(task["process_results"]({"id": "clip-1"}, [""])) == metrics
    assert all(callable(each["aggregation"]) and each["higher_is_better"] for each in task["metric_list"])
    manifest = (TASK / task["dataset_kwargs"]["data_files"]["test"]).resolve()
    assert manifest == loaded().EXPORT / "manifest.json", "the YAML and the functions name one export"


def test_a_clip_is_shown_as_the_pictures_of_its_context_and_its_prompt(module: ModuleType, exported: Path) -> None:
    doc = clips(exported)[0]
    pictures = module.doc_to_visual(doc)
    assert [picture.size for picture in pictures] == [(64, 64)] * 3
    (last,) = module.doc_to_visual({**doc, "files": {**doc["files"], "video_lossless": None}})
    assert np.array_equal(np.asarray(pictures[-1]), np.asarray(last)), "the image is the last frame of the film"
    assert module.doc_to_text(doc, {"pre_prompt": "<", "post_prompt": ">"}) == f"<{doc['prompt']}>"
    (message,) = module.doc_to_messages(doc)
    assert [part["type"] for part in message["content"]] == ["image", "image", "image", "text"]


@pytest.mark.parametrize("text", ["I cannot make a video. " * 20, "~nobody-of-this-name/x.mp4", '{"videos": [7]}', "{"])
def test_words_in_place_of_a_video_are_a_failed_clip(text: str, module: ModuleType, exported: Path) -> None:
    answer = module.process_results(clips(exported)[0], [text])["physbench_drift"]
    assert answer["video"] is None and answer["said"] == text[:300]


@pytest.mark.parametrize("form", ["path", "json"])
def test_videos_are_scored_together_and_failures_are_clips(
    form: str, module: ModuleType, exported: Path, tmp_path: Path, capsys
) -> None:
    video = tmp_path / "made.mp4"
    video.write_bytes(b"a video")
    said = {"path": str(video), "json": json.dumps({"text": "", "videos": [str(video)]})}[form]
    first, second = clips(exported)
    answers = [
        module.process_results(first, [said])["physbench_drift"],
        module.process_results(second, ["[GENERATION_FAILED] out of memory"])["physbench_drift"],
    ]
    assert module.drift(answers) == 0.6 and module.lawful_seconds(answers) == 1.5
    assert math.isnan(module.overall(answers[::-1])), "one run for all metrics and orders, a null is NaN"
    (log,) = (tmp_path / "runs").glob("*.log")
    args = json.loads(log.read_text())
    folder = Path(args[1].removeprefix("videos:"))
    assert sorted(path.name for path in folder.iterdir()) == ["answer.json", f"{first['id']}.mp4"]
    assert (folder / f"{first['id']}.mp4").read_bytes() == b"a video"
    assert args[2:6] == ["--suite", "smoke", "--tasks=falling/projectile", "--limit=2"]
    assert args[7] == f"key={exported}.key.json" and Path(f"{exported}.key.json").is_file()
    assert args[-2:] == ["--model-arg", "fit=cover"]
    assert f"no video of {second['id']}, which counts as failed: [GENERATION_FAILED]" in capsys.readouterr().err


def test_a_physbench_that_is_missing_or_fails_ends_the_evaluation(
    module: ModuleType, exported: Path, monkeypatch
) -> None:
    answers = [module.process_results(clips(exported)[0], ['{"videos": '])["physbench_overall"]]
    assert answers[0]["video"] is None
    monkeypatch.setenv("PHYSBENCH", "no-such-program")
    with pytest.raises(RuntimeError, match="PHYSBENCH: there is no program 'no-such-program'"):
        module.overall(answers)
    monkeypatch.setenv("PHYSBENCH", f"{sys.executable} -c 'raise SystemExit(2)'")
    with pytest.raises(RuntimeError, match="physbench ended with 2 and no result"):
        module.overall(answers)
