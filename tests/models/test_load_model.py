"""A target is recognised by what is in it; what cannot be taken is named, with what to do."""

import collections
import json
import pickle
import sys
import zipfile

import pytest
import torch
from safetensors.torch import save_file

from physbench.models.load_model import check_target, find_adapter
from physbench.support.errors import ModelError, PhysbenchError


class Evil:
    def __reduce__(self):
        import os

        return os.system, ("echo it ran > /tmp/it-ran",)


def told(target) -> str:
    with pytest.raises(ModelError) as caught:
        check_target(str(target))
    text = str(caught.value)
    assert 1 <= len(text.splitlines()) <= 2
    return text


@pytest.mark.parametrize("name", ["model.pt", "model.safetensors", "model"])
@pytest.mark.parametrize("old", [False, True])
def test_a_pickle_that_would_run_code_is_refused_whatever_its_name(tmp_path, name, old) -> None:
    path = tmp_path / name
    torch.save({"a": Evil(), "w": torch.ones(3)}, path, _use_new_zipfile_serialization=not old)
    text = told(path)
    assert "would run code" in text and "posix.system" in text and "refused" in text
    assert ".safetensors" in text and "my_model.py:make" in text


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_pickle_protocol_is_seen_through(tmp_path, protocol) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps([Evil(), 1], protocol=protocol))
    assert "posix.system" in told(path)


@pytest.mark.parametrize("old", [False, True])
def test_a_checkpoint_of_plain_tensors_says_how_to_bring_it_in(tmp_path, old) -> None:
    state = collections.OrderedDict(a=torch.ones(3), b=torch.nn.Parameter(torch.ones(2).half()), c=torch.ones(1).long())
    path = tmp_path / "model.pth"
    torch.save({"model": state, "step": 3}, path, _use_new_zipfile_serialization=not old)
    text = told(path)
    assert "plain tensors" in text and "which architecture" in text and "objects" in text and "my_model.py:make" in text


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_truncated_checkpoints_are_told(tmp_path, share) -> None:
    path = tmp_path / "model.pt"
    torch.save({"w": torch.ones(1000)}, path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    assert "truncated or corrupt" in told(path)
    path.write_bytes(pickle.dumps({"w": list(range(1000))}, protocol=4)[:500])
    assert "truncated or corrupt" in told(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"hello, this is no model\n", "text file"),
        ("größe\n".encode() * 200, "text file"),
        (b"<!DOCTYPE html><html>login</html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1", "git lfs pull"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
        (b"GGUF\x03\x00", "GGUF"),
        (b"\x00\x00\x00\x20ftypisom", "MP4"),
        (b"\x08\x08\x12\x07pytorch\x1a\x05\x00", "ONNX"),
        (b"\x00\x01\x02\x03" * 9, "no kind that this version knows"),
        (b"import torch\ndef make(): pass\n", "Python code: say which function"),
    ],
)
def test_other_files_are_named(tmp_path, content, words) -> None:
    path = tmp_path / "thing.bin"
    path.write_bytes(content)
    assert words in told(path)


def test_programs_of_torch_are_refused(tmp_path) -> None:
    for name, words in (
        ("model/code/__torch__.py", "TorchScript program: loading it would run code"),
        ("model/archive_format", "torch.export program. Loading it can run any code"),
    ):
        path = tmp_path / "program.pt2"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(name, "")
        text = told(path)
        assert words in text


@pytest.mark.parametrize("content", [b"some notes\n", bytes(range(7, 256)) * 3])
def test_what_is_no_graph_is_said_to_be_none(tmp_path, content) -> None:
    path = tmp_path / "x.onnx"
    path.write_bytes(content)
    assert "is no ONNX graph" in told(path)


def test_folders_are_named(tmp_path) -> None:
    assert "is empty: was the download finished?" in told(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "vit"}')
    assert "transformers" in told(tmp_path)
    (tmp_path / "manifest.json").write_text("{}")
    assert "physbench report" in told(tmp_path)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("ijepa", "I-JEPA. In the format of transformers it is an encoder without a predictor"),
        ("vjepa", "V-JEPA. It predicts latents"),
    ],
)
def test_a_folder_with_a_predictor_of_latents_that_is_not_asked_says_why(tmp_path, kind, words) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": kind}))
    save_file({"weight": torch.ones(2)}, tmp_path / "model.safetensors")
    assert f"is a checkpoint of {words}" in told(tmp_path)


@pytest.mark.parametrize("old", [False, True])
def test_a_checkpoint_of_a_predictor_of_latents_says_what_is_planned(tmp_path, old) -> None:
    """In the layout of Meta's training codes, and of DINO-WM, which pickles whole modules."""
    parts = {name: {"module.weight": torch.ones(2)} for name in ("encoder", "predictor", "target_encoder")}
    torch.save({**parts, "epoch": 3}, tmp_path / "jepa.pth.tar", _use_new_zipfile_serialization=not old)
    assert "is a checkpoint of I-JEPA or V-JEPA. It predicts latents" in told(tmp_path / "jepa.pth.tar")
    del parts["target_encoder"]
    torch.save(parts, tmp_path / "other.pt", _use_new_zipfile_serialization=not old)
    assert "checkpoint of plain tensors" in told(tmp_path / "other.pt"), "an encoder and a predictor may be anything"
    (tmp_path / "model.pth").write_bytes(b"\x80\x02cmodels.vit\nViTPredictor\n)\x81.")
    assert "is a checkpoint of DINO-WM. It predicts latents" in told(tmp_path / "model.pth")


def test_names_that_are_nowhere(tmp_path) -> None:
    (tmp_path / "objects.safetensors").write_bytes(b"x")
    assert "Did you mean objects.safetensors" in told(tmp_path / "object.safetensors")
    assert "Did you mean baseline:freeze" in told("freeze")
    assert "Did you mean baseline" in told("basline:freeze")
    assert "Did you mean freeze" in told("baseline:freez")
    assert "Did you mean reference:objects?" in told("obects")
    assert "models list" in told("something/that/is/nowhere.pt")
    assert "no checkpoint of 'jepa'" in told("reference:jepa")


@pytest.mark.parametrize("scheme", ["", "diffusers:", "videos:"])
def test_the_home_of_nobody(scheme) -> None:
    with pytest.raises(PhysbenchError, match="home folder ~nobody-here is not known") as caught:
        check_target(f"{scheme}~nobody-here/net.onnx")
    assert caught.value.exit_code == 2 and "\n" not in str(caught.value)


@pytest.mark.parametrize("target", ["net\0.onnx", "videos:net\0", "net\0.py:make", "python:net\0:make"])
def test_no_name_holds_a_nul_character(target) -> None:
    text = told(target)
    assert "it holds a NUL character" in text and "\0" not in text and "\n" not in text


def test_a_file_that_may_not_be_read(tmp_path, monkeypatch) -> None:
    import os

    path = tmp_path / "model.bin"
    path.write_bytes(b"\0\1\2")
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert "permission denied" in told(path)


def test_nothing_is_imported_to_look() -> None:
    import subprocess

    script = (
        "import sys; from physbench.models.load_model import check_target\n"
        "check_target('baseline:oracle')\n"
        "check_target('reference:objects')\n"
        "try: check_target(sys.executable)\nexcept Exception as error: pass\n"
        "print('torch' in sys.modules, 'numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


@pytest.mark.parametrize(
    ("target", "given", "words"),
    [
        ("baseline:memory", "clip", r"memory has no argument of that name\. Did you mean clips"),
        ("saboteur:teleport:1", "contxt", r"has no argument of that name\. Did you mean context"),
        ("reference:objects", "width", "a checkpoint, whose metadata holds them, takes no arguments"),
        ("untrained:objects", "width", "a checkpoint, whose metadata holds them, takes no arguments"),
        ("python:argued.models:make", "sise", r"argued\.models:make has no argument of that name\. Did you mean size"),
        ("http://127.0.0.1:1", "wiat", r"no such argument\. Did you mean wait"),
        ("http://127.0.0.1:1/v1/videos", "frame", r"not taken here\. Did you mean frames"),
        ("http://127.0.0.1:1/v1/videos", "prompt", "is made for each clip"),
        ("videos:answers", "fitt", r"no argument of that name\. Did you mean fit"),
    ],
)
def test_an_argument_that_a_kind_of_model_lacks_is_told_before_anything_is_loaded(  # type: ignore[no-untyped-def]
    target, given, words, tmp_path, monkeypatch
) -> None:
    (tmp_path / "answers").mkdir()
    (tmp_path / "argued").mkdir()
    (tmp_path / "argued" / "models.py").write_text("raise AssertionError\ndef make(*, device, dtype, size=1): pass\n")
    monkeypatch.chdir(tmp_path)
    adapter = find_adapter(target)
    monkeypatch.setattr(adapter, "check", lambda target: None)  # no server listens
    monkeypatch.setattr(adapter, "load", None)
    check_target(target)
    with pytest.raises(ModelError, match=words):
        check_target(target, model_args={given: "1"})
