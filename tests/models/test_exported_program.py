"""Models in .pt2 files: as code only, with a card that is read before the program."""

import json
import zipfile

import pytest
import torch

from physbench.cli.main import run
from physbench.models.load_model import check_target, load_model, model_sha256
from physbench.support.errors import ModelError

pytestmark = pytest.mark.usefixtures("warm_models")

CARD = {"name": "program", "image_size": [64, 64], "fps": 15, "context_frames": 2}


class Steps(torch.nn.Module):
    """init: the last frame; step: sigmoid(convolution(frame) + noise)."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.net = torch.nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, context, last, noise):
        frame = (self.net(last) + noise[:, :, None, None]).sigmoid()
        return context[:, -1], frame, frame


class Clip(torch.nn.Module):
    def forward(self, context):
        return context[:, -1:].expand(-1, 5, -1, -1, -1)


def save(path, module, shapes, document):
    """Export a module and write its program with a document."""
    sizes = [torch.export.Dim(f"size{index}", max=1000) for index in range(2)]
    dynamic = tuple({0: sizes[min(index, 1)]} for index in range(len(shapes)))
    example = tuple(torch.rand(2, *shape) for shape in shapes)
    program = torch.export.export(module, example, dynamic_shapes=dynamic, strict=False)
    torch.export.save(program, str(path), extra_files={"physbench.json": json.dumps(document)})
    return path


@pytest.fixture(scope="module")
def steps(tmp_path_factory):
    document = {"card": {**CARD, "stochastic": True}, "inputs": ["context", "last", "noise"]}
    folder = tmp_path_factory.mktemp("program")
    return save(folder / "steps.pt2", Steps(), ((2, 3, 64, 64), (3, 64, 64), (3,)), document)


def trusted(path):
    return load_model(str(path), device=torch.device("cpu"), dtype=torch.float32, trust_code=True)


@torch.inference_mode()
def rolled(model, context, horizon):
    generators = [torch.Generator().manual_seed(seed) for seed in range(len(context))]
    chunks = model.rollout(context, horizon=horizon, actions=None, prompts=[], generators=generators)
    return torch.cat(list(chunks), 1)


def redone(path, source, *, document=None, name=None):
    """A copy of an archive with another document."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w") as new:
        for info in old.infolist():
            is_document = info.filename.endswith("physbench.json")
            if is_document and document is None:
                continue
            content = document if is_document and isinstance(document, bytes) else old.read(info)
            new.writestr(info.filename, json.dumps(document) if is_document and isinstance(document, dict) else content)
    return path


@pytest.mark.parametrize("batch", [1, 3])
def test_both_parts_of_a_program_predict_as_their_module_does(steps, batch) -> None:
    context, module = torch.rand(batch, 2, 3, 64, 64), Steps()
    got = rolled(trusted(steps), context, 20)
    generators = [torch.Generator().manual_seed(seed) for seed in range(batch)]
    frame = context[:, -1]
    for k in range(20):
        noise = torch.stack([torch.randn(3, generator=generator) for generator in generators])
        with torch.no_grad():
            frame = module(context, frame, noise)[2]
        assert (got[:, k] - frame).abs().max() < 1e-5


def test_a_program_of_whole_clips(tmp_path) -> None:
    document = {"card": {**CARD, "max_horizon": 5}}
    path = save(tmp_path / "clip.pt2", Clip(), ((2, 3, 64, 64),), document)
    context = torch.rand(3, 2, 3, 64, 64)
    assert torch.equal(rolled(trusted(path), context, 4), context[:, -1:].expand(-1, 4, -1, -1, -1))
    with pytest.raises(ModelError, match="set max_horizon"):
        trusted(redone(tmp_path / "endless.pt2", path, document={"card": CARD}))


def test_without_the_word_nothing_is_loaded(steps, monkeypatch, capfd) -> None:
    monkeypatch.setattr(torch.export, "load", None)
    with pytest.raises(ModelError, match=r"can run any code that is in it.*\n.*--trust-code"):
        load_model(str(steps), device=torch.device("cpu"), dtype=torch.float32)
    for command in (["eval", str(steps)], ["models", "check", str(steps)], ["export", str(steps), "a.pt2"]):
        assert run(command) == 2
        assert "--trust-code" in capfd.readouterr().err
    check_target(str(steps), trust_code=True)  # reads the card, and does not load the program either
    assert model_sha256(str(steps)) == model_sha256(str(steps))


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (None, "has no card: the extra file 'physbench.json' is missing"),
        ({"card": {**CARD, "fps": 7}}, "frames/s, a rate that divides 1200"),
        ({"card": {**CARD, "uses_actions": True}, "inputs": ["context", "last"]}, "no input `action`"),
        ({"card": {**CARD, "uses_prompt": True}}, "takes no text"),
        ({"card": CARD, "inputs": ["context", "action"]}, "context and at least one state"),
        ({"card": CARD, "inputs": "context"}, "a list of names"),
        (b"\xff\xfe", "cannot be read"),
        (b" " * 2_000_000, "2000000 bytes, which is no card"),
    ],
)
def test_documents_that_do_not_fit_are_told_before_loading(steps, tmp_path, document, words) -> None:
    path = redone(tmp_path / "other.pt2", steps, document=document)
    with pytest.raises(ModelError) as caught:
        check_target(str(path), trust_code=True)
    assert words in str(caught.value) and len(str(caught.value).splitlines()) <= 2


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
def test_archives_that_cannot_be_unpacked_are_told(tmp_path, method) -> None:
    path = tmp_path / "damaged.pt2"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("p/archive_format", "pt2")
        archive.writestr("p/extra/physbench.json", json.dumps({"card": CARD}))
    content = bytearray(path.read_bytes())
    start = content.index(b"physbench.json") + len("physbench.json")
    content[start + 9 : start + 29] = b"\xff" * 20
    path.write_bytes(content)
    with pytest.raises(ModelError, match="is corrupt"):
        check_target(str(path), trust_code=True)
    entry = content.rindex(b"PK\x01\x02")
    content[entry + 8] |= 1  # says that it is encrypted
    path.write_bytes(content)
    with pytest.raises(ModelError, match="is corrupt"):
        check_target(str(path), trust_code=True)


def test_programs_that_do_not_fit_their_document(steps, tmp_path) -> None:
    other = redone(tmp_path / "other.pt2", steps, document={"card": CARD, "inputs": ["context", "last"]})
    with pytest.raises(ModelError, match="takes 3 tensors and returns 3, but by its card takes context, last"):
        trusted(other)
    mixed = Steps()
    mixed.forward = lambda context, last: (context[:, -1] + last, last, last)
    document = {"card": CARD, "inputs": ["context", "last"]}
    path = tmp_path / "mixed.pt2"
    program = torch.export.export(mixed, (torch.rand(2, 2, 3, 64, 64), torch.rand(2, 3, 64, 64)))
    torch.export.save(program, str(path), extra_files={"physbench.json": json.dumps(document)})
    with pytest.raises(ModelError, match="depend on one another's inputs"):
        trusted(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/archive_format", "pt2")
        archive.writestr("a/extra/physbench.json", json.dumps(document))
    with pytest.raises(ModelError, match=r"torch .* cannot load"):
        trusted(path)
