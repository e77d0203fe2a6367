"""The training loop: seeded, resumable, honest about other settings; checkpoints."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from slow_cases import others_slow
from torch import Tensor

from physbench.cli.main import run as run_command
from physbench.data.clip_dataset import training_rows
from physbench.models.load_model import load_model
from physbench.models.protocol import ModelCard
from physbench.models.safetensors_files import read_checkpoint, read_header, save_checkpoint, shipped_checkpoints
from physbench.reference import objects, training_loop
from physbench.reference.architecture import frame_validation, skill_of_errors
from physbench.reference.train import check_folder, learn, make_writable, pick_device, train, unlearned_tasks
from physbench.reference.training_loop import generator
from physbench.support import plugins
from physbench.support.errors import ModelError, UsageError
from physbench.support.plugins import entries

SMALL = {
    "POOL_SIZE": 32,
    "WINDOW_BATCH": 16,
    "SAMPLED_EPISODES": 6,
    "DRAWING_FRAMES": 3,
    "POOL_LIFETIME": 4,
    "LONGEST": 12,
    "USUAL": 9,
}


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SMALL.items():
        monkeypatch.setattr(objects, name, value)


def run(toys, folder: Path, *, resume: bool = False, seed: int = 0, steps: int = 12) -> dict[str, Tensor]:  # type: ignore[no-untyped-def]
    folder.mkdir(exist_ok=True)
    architecture = objects.architecture
    net, _ = learn(
        architecture, architecture.config(), toys, folder, {"steps": steps}, seed=seed, steps=steps, minutes=None,
        device="cpu", resume=resume, threads=1,
    )  # fmt: skip
    return net.state_dict()


class Killed(Exception):
    pass


def kill_after(monkeypatch: pytest.MonkeyPatch, calls: int) -> None:
    """The training is killed in its step number `calls`."""
    real, count = training_loop._one_step, [0]

    def step(*arguments: object) -> float:
        count[0] += 1
        if count[0] > calls:
            raise Killed
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(training_loop, "_one_step", step)


@pytest.mark.slow  # the loop itself is in test_jepa
def test_a_resumed_training_ends_with_the_same_weights(toys, small, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    whole = run(toys, tmp_path / "whole")
    folder = tmp_path / "killed"
    for calls in (3, 7, 9, 5):  # in seeing, in drawing, twice in moving (before and behind the switch of starts)
        with pytest.MonkeyPatch.context() as patch:
            kill_after(patch, calls)
            with pytest.raises(Killed):
                run(toys, folder, resume=True)
    resumed = run(toys, folder, resume=True)
    assert whole.keys() == resumed.keys()
    for name, value in whole.items():
        assert torch.equal(value, resumed[name]), name


@pytest.mark.slow
def test_another_seed_gives_other_weights(toys, small, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    one, two = run(toys, tmp_path / "a", steps=2), run(toys, tmp_path / "b", steps=2, seed=1)
    assert not torch.equal(one["dynamics.scene.0.weight"], two["dynamics.scene.0.weight"])


def test_other_settings_are_refused_on_resume(toys, small, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    run(toys, tmp_path, steps=2)
    with pytest.raises(UsageError, match=r"other settings: steps 2 \(now 3\)\."):
        run(toys, tmp_path, steps=3, resume=True)
    (tmp_path / training_loop.STATE_FILE).write_bytes(b"nonsense")
    with pytest.raises(UsageError, match="cannot be read"):
        run(toys, tmp_path, steps=2, resume=True)
    save_file({"weight": torch.zeros(2)}, str(tmp_path / training_loop.STATE_FILE))
    with pytest.raises(UsageError, match="is not the state of a training"):
        run(toys, tmp_path, steps=2, resume=True)


def test_a_folder_with_a_training_is_not_overwritten(tmp_path: Path) -> None:
    check_folder(tmp_path / "new", resume=False)
    make_writable(tmp_path / "new")
    (tmp_path / "new" / training_loop.STATE_FILE).touch()
    with pytest.raises(UsageError, match="--resume"):
        check_folder(tmp_path / "new", resume=False)
    check_folder(tmp_path / "new", resume=True)
    with pytest.raises(UsageError, match=r"holds no training to continue.*without --resume"):
        train("objects", out=tmp_path / "empty", resume=True)
    assert not (tmp_path / "empty").exists()
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="Cannot write"):
        make_writable(tmp_path / "file" / "below")


def test_a_finished_training_is_left_as_it_is(  # type: ignore[no-untyped-def]
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd
) -> None:
    rows, held_out = training_rows(20)
    monkeypatch.setattr("physbench.reference.train.training_rows", lambda *given: (rows[:1], held_out[:1]))
    monkeypatch.setattr("physbench.reference.train.training_hash", lambda *given: "0" * 64)  # which simulates all 20

    def resumed(*options: str) -> tuple[int, str]:
        given = ["--out", str(tmp_path), "--clips", "20", "--steps", "1", "--device", "cpu", *options]
        return run_command(["train", "states-transformer", *given]), capfd.readouterr().err

    def files() -> dict[str, tuple[bytes, int]]:
        return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.iterdir()}

    code, first = resumed()
    made = files()
    card, weights = "states-transformer.md", "states-transformer.safetensors"
    assert code == 0 and {card, weights, training_loop.STATE_FILE} < made.keys() and "is finished" not in first
    code, again = resumed("--resume")
    assert code == 0 and files() == made
    assert f"The training in {tmp_path} is finished: nothing is trained or written." in again
    assert first.splitlines()[-3:] == again.splitlines()[-3:]  # its time, its picture, how to evaluate it
    with pytest.MonkeyPatch.context() as patch:  # where nothing can be written
        patch.setattr(Path, "touch", lambda self: (_ for _ in ()).throw(OSError(30, "Read-only file system")))
        assert resumed("--resume")[0] == 0
    (tmp_path / card).unlink()  # killed before the end
    code, mended = resumed("--resume")
    assert code == 0 and "is finished" not in mended and (tmp_path / card).exists()
    (tmp_path / weights).write_bytes(made[weights][0][:1000])  # torn
    code, mended = resumed("--resume")
    assert code == 0 and "is finished" not in mended and read_header(tmp_path / weights).tensors
    (tmp_path / training_loop.STATE_FILE).unlink()
    with pytest.MonkeyPatch.context() as patch:
        kill_after(patch, 0)
        with pytest.raises(Killed):
            train("states-transformer", out=tmp_path, clips=20, steps=2)
    assert not (tmp_path / card).exists()  # that of the training before


@pytest.mark.parametrize("begun", [False, True])
def test_an_interrupted_command_is_continued_once_something_was_learned(  # type: ignore[no-untyped-def]
    begun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd
) -> None:
    """While clips are made nothing is in the folder that --resume could continue."""
    if begun:
        (tmp_path / training_loop.STATE_FILE).touch()

    def interrupted(*given: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("physbench.reference.train.train", interrupted)
    assert run_command(["train", "simple", "--out", str(tmp_path), "--clips", "40", "--steps", "7"]) == 130
    line = next(line for line in capfd.readouterr().err.splitlines() if line.startswith("Continue with: "))
    words = f"physbench train simple --out {tmp_path} --clips 40 --seed 0 --device auto"
    assert line == f"Continue with: {words}{' --resume' if begun else ''} --steps 7"


@pytest.mark.slow
def test_minutes_end_a_stage(toys, small, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    architecture = objects.architecture
    learn(
        architecture, architecture.config(), toys, tmp_path, {}, seed=0, steps=100_000, minutes=0.01, device="cpu",
        resume=False, threads=1,
    )  # fmt: skip
    assert (tmp_path / training_loop.STATE_FILE).exists()


def test_wrong_arguments_name_the_option(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Did you mean objects"):
        train("object", out=tmp_path)
    with pytest.raises(UsageError, match="--clips"):
        train("objects", out=tmp_path, clips=3)
    with pytest.raises(UsageError, match="--steps"):
        train("objects", out=tmp_path, steps=0)
    with pytest.raises(UsageError, match="--minutes"):
        train("objects", out=tmp_path, minutes=-1)
    for minutes in (float("nan"), float("inf")):
        with pytest.raises(UsageError, match="--minutes"):
            train("objects", out=tmp_path, minutes=minutes)
    with pytest.raises(UsageError, match="no size XL"):
        train("simple", out=tmp_path, size="XL")
    with pytest.raises(UsageError, match="Did you mean combo-6"):
        train("simple", out=tmp_path, suite="combo-7")
    with pytest.raises(UsageError, match="--device"):
        pick_device("objects", "abacus")


def test_only_the_train_split_is_learned_from() -> None:
    rows, held_out = training_rows(280)
    assert {row.split for row in (*rows, *held_out)} == {"train"}
    assert not set(rows) & set(held_out)
    assert {row.task for row in rows} == {row.task for row in held_out}
    assert len(rows) == 252


def test_tasks_of_which_nothing_is_learned_are_named() -> None:
    for clips in (20, 30):
        rows, _ = training_rows(clips)
        missing = {row.task for row in training_rows(280)[0]} - {row.task for row in rows}
        said = unlearned_tasks(clips)
        assert bool(missing) == (clips == 20) == bool(said)
        assert all(task in said for task in missing) and (not said or f"{len(missing)} of 14 tasks" in said)
    assert not unlearned_tasks(20, "combo-6")


def test_a_list_of_templates_is_learned_from_and_no_suite_that_is_judged() -> None:
    rows, held_out = training_rows(30, "combo-6")
    assert {row.task for row in (*rows, *held_out)} == {"combo/throw-v1"} and (len(rows), len(held_out)) == (27, 3)
    assert {row.split for row in (*rows, *held_out)} == {"train"}


def test_the_validation_curve_ends_with_the_clips() -> None:
    """Clips of 1.6 s have no 2 s to be compared."""
    simple = plugins.load("physbench.architectures", "simple")
    model = simple.build(simple.config())
    videos = [torch.randint(0, 255, (8 + 24, 3, 64, 64), dtype=torch.uint8) for _ in range(2)]

    class Episodes:
        def __len__(self) -> int:
            return len(videos)

        def frames(self, index: int) -> torch.Tensor:
            return videos[index]

    validation = frame_validation(model, Episodes())  # type: ignore[arg-type]
    assert validation.names == ("within 0.25 s", "within 0.5 s", "within 1 s", "within 1.6 s")
    assert len(validation.skills()) == 4


def test_an_answer_without_numbers_has_the_least_skill() -> None:
    """(2 - 1) / (2 + 1), nothing to be right about, NaN, and an overflow."""
    error, still = torch.tensor([1.0, 1.0, torch.nan, torch.inf]), torch.tensor([2.0, 0.0, 1.0, 1.0])
    assert skill_of_errors(error, still, 1e-5) == pytest.approx((1 / 3 - 1 - 1) / 3)


ARCHITECTURES = [plugins.load("physbench.architectures", name) for name in entries("physbench.architectures")]
FRAMES = [each for each in ARCHITECTURES if type(each.card(each.config())) is ModelCard]


@pytest.mark.parametrize("architecture", others_slow(FRAMES, 3), ids=lambda each: each.name)
def test_a_checkpoint_gives_the_model_back(toys, architecture, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    config = architecture.config()
    torch.manual_seed(1)
    model = architecture.build(config)
    path = tmp_path / "model.safetensors"
    save_checkpoint(
        path, model.net.state_dict(), architecture=architecture.name, config=config, card=model.card,
        training={"seed": 1},
    )  # fmt: skip
    held = read_checkpoint(path)
    assert (held.architecture, held.config, held.card, held.training) == (
        architecture.name, config, model.card, {"seed": 1},
    )  # fmt: skip
    assert path.stat().st_size < 2 * 5e6  # in half precision below 5 MB
    again = load_model(str(path), device=torch.device("cpu"), dtype=torch.float32, model_args={})
    context = torch.stack([toys.frames(i)[:8] for i in (0, 1)]).float() / 255

    def numbers() -> list[torch.Generator]:
        return [generator("clip", index) for index in (0, 1)]

    one, two = (
        torch.cat(list(m.rollout(context, horizon=6, actions=None, prompts=["", ""], generators=numbers())), 1)  # type: ignore[union-attr]
        for m in (model, again)
    )
    assert torch.equal(one, two)


@pytest.mark.parametrize("name", shipped_checkpoints())
def test_what_comes_with_physbench_loads_and_has_a_card(name) -> None:  # type: ignore[no-untyped-def]
    path = shipped_checkpoints()[name]
    assert path.stat().st_size < 5e6
    document, text = read_checkpoint(path), path.with_suffix(".md").read_text()
    assert document.architecture == name and document.card.track == "trained" and document.training["clips"] > 1000
    assert re.match(f"# `(reference:)?{name}`", text) and re.search("not know|gets wrong", text)
    assert "| step | seconds | skill within" in text or "curve of this training was not kept" in text
    model = load_model(str(path), device=torch.device("cpu"), dtype=torch.float32, model_args={})
    assert model.card.name == name


def test_tensors_that_do_not_fit_are_named() -> None:
    architecture = objects.architecture
    tensors = architecture.net(architecture.config()).state_dict()
    tensors.pop("dynamics.margin")
    with pytest.raises(ModelError, match=r"dynamics\.margin"):
        architecture.load(
            tensors, architecture.config(), architecture.card(architecture.config()), torch.device("cpu"), torch.float32
        )


@pytest.mark.parametrize(
    ("config", "change", "words"),
    [({}, {"fps": 30}, "fps 30, its configuration 15"), ({"widht": 3}, {}, "no 'widht'. Did you mean width")],
)
def test_a_card_and_a_configuration_that_contradict_are_refused(config, change, words, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    architecture = plugins.load("physbench.architectures", "simple")
    whole = architecture.config()
    card = dataclasses.replace(architecture.card(whole), **change)
    tensors = architecture.net(whole).state_dict()
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, tensors, architecture="simple", config={**whole, **config}, card=card, training={})
    with pytest.raises(ModelError, match=re.escape(words)):
        load_model(str(path), device=torch.device("cpu"), dtype=torch.float32, model_args={})


@pytest.mark.parametrize(
    "name", others_slow(sorted(plugins.entries("physbench.architectures")), ("simple", "token-ar"))
)
def test_weights_are_compared_before_a_network_has_memory(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Metadata of a small file can ask for more memory than a machine has."""
    architecture = plugins.load("physbench.architectures", name)
    config = architecture.config()
    tensors, devices, net = architecture.net(config).state_dict(), [], architecture.net

    def made(config: dict[str, object]) -> object:
        devices.append(torch.zeros(0).device.type)
        return net(config)

    monkeypatch.setattr(architecture, "net", made)
    large = {key: 4096 for key in ("width", "hidden") if key in config} | ({"heads": 1} if "heads" in config else {})
    with pytest.raises(ModelError, match=r"instead of \(.*(width|hidden) 4096 \(usual: "):
        architecture.load(tensors, {**config, **large}, architecture.card(config), torch.device("cpu"), torch.float32)
    assert devices == ["meta"]
    architecture.load(tensors, config, architecture.card(config), torch.device("cpu"), torch.float32)
    assert devices == ["meta", "meta", "cpu"]


def test_a_table_that_no_weight_tells_of_is_refused() -> None:
    """The mask of attention has (32 trained_on)^2 numbers; no tensor of the checkpoint depends on it."""
    architecture = plugins.load("physbench.architectures", "token-ar")
    config = architecture.config()
    tensors = architecture.net(config).state_dict()
    words = "at most 67,108,864 numbers beside the weights, got 17,179,869,184. Its configuration has trained_on 4096 ("
    with pytest.raises(ModelError, match=re.escape(words + "usual: 24).")):
        architecture.load(
            tensors, {**config, "trained_on": 4096}, architecture.card(config), torch.device("cpu"), torch.float32
        )


def test_a_library_that_replaces_functions_of_torch_for_a_while_hinders_no_comparison(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """torch remembers which functions make tensors from the first `torch.device` on: transformers replaces linspace."""
    from torch.utils._device import _device_constructors

    architecture = plugins.load("physbench.architectures", "token-ar")
    config = architecture.config()
    tensors, linspace = architecture.net(config).state_dict(), torch.linspace
    _device_constructors.cache_clear()
    try:
        with monkeypatch.context() as patch, torch.device("meta"):
            patch.setattr(torch, "linspace", lambda *args, **kwargs: linspace(*args, **{"device": "cpu", **kwargs}))
            torch.zeros(1)
        architecture.load(tensors, config, architecture.card(config), torch.device("cpu"), torch.float32)
    finally:
        _device_constructors.cache_clear()


@pytest.mark.parametrize(
    ("name", "config", "words"),
    [
        ("simple", {"width": 5000}, "a whole number from 1 to 4096 in the configuration; width is 5000"),
        ("states-transformer", {"layers": 10**9}, "whole number from 1 to 4096 in the configuration; layers is 1000"),
        ("states-transformer", {"width": 65}, "a width that 4 heads divide but got 65"),
        ("jepa", {"fps": "15"}, "Expected a number above 0 and up to 4096 in the configuration; fps is '15'"),
        ("simple", {"width": [64]}, "a whole number from 1 to 4096 in the configuration; width is [64]"),
        ("token-ar", {"heads": False}, "a whole number from 1 to 4096 in the configuration; heads is False"),
        ("token-ar", {"levels": 8}, "a list of whole numbers from 1 to 4096 in the configuration; levels is 8"),
        ("rssm", {"mode": 1}, "true or false in the configuration; mode is 1"),
        ("rssm", {"size": 60}, "a size that 8 divides but got 60"),
    ],
)
def test_a_configuration_that_is_none_is_refused(name: str, config: dict[str, object], words: str) -> None:
    with pytest.raises(ModelError, match=re.escape(words)):
        plugins.load("physbench.architectures", name).build(config)


def test_help_needs_no_torch() -> None:
    code = "import sys; from physbench.cli import models; print('torch' in sys.modules, 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


@pytest.mark.slow
def test_train_command_from_clips_to_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHYSBENCH_CACHE", str(tmp_path / "cache"))
    done = subprocess.run(
        [sys.executable, "-c", "from physbench.cli.main import main; main()", "train", "objects", "--clips", "40",
         "--steps", "20", "--out", str(tmp_path)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    path = Path(done.stdout.strip())
    assert path == tmp_path / "objects.safetensors"
    assert (tmp_path / "objects.png").stat().st_size > 1000
    training_notes = read_checkpoint(path).training
    assert json.loads(json.dumps(training_notes))["clips"] == 40
