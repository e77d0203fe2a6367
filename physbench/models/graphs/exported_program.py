"""Models from .pt2 files: programs of torch.export, with a card beside them. Loading one runs code in the file."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from physbench.models.adapter import Adapter, without_scheme
from physbench.models.graphs.graph_card import GraphDocument, read_graph_document, state_names
from physbench.models.protocol import Model
from physbench.models.unrecognised import describe_unrecognised
from physbench.support.errors import ModelError
from physbench.support.files import DAMAGED_ARCHIVE, file_sha256

if TYPE_CHECKING:
    import torch

PROGRAM_SUFFIX = ".pt2"
DOCUMENT_FILE = "physbench.json"  # among the extra files of the archive


def looks_like_program(path: Path) -> bool:
    """True if the file is an archive of torch.export. Nothing in it is run."""
    try:
        with path.open("rb") as file:
            if file.read(2) != b"PK":
                return False
        with zipfile.ZipFile(path) as archive:
            names = [name.split("/", 1)[-1] for name in archive.namelist()]
    except DAMAGED_ARCHIVE:
        return False
    return any("serialized_exported_program" in name or name == "archive_format" for name in names)


def read_program_document(path: Path) -> GraphDocument:
    """Read the document beside a program, without loading the program. Raises ModelError."""
    place = f"the extra file '{DOCUMENT_FILE}'"
    try:
        with zipfile.ZipFile(path) as archive:
            members = [info for info in archive.infolist() if info.filename.rpartition("/")[2] == DOCUMENT_FILE]
            if members and members[0].file_size > 1_000_000:  # bytes
                raise ModelError(
                    f"{path}: {place} has {members[0].file_size} bytes, which is no card. Export it again."
                )
            text = archive.read(members[0]).decode("utf-8") if members else None
    except DAMAGED_ARCHIVE as error:
        raise ModelError(f"{path} is corrupt: {place} cannot be read ({error}). Copy it again.") from None
    document = read_graph_document(text, str(path), place)
    _check_inputs(document, path)
    return document


def _check_inputs(document: GraphDocument, path: Path) -> None:
    card, inputs = document.card, document.inputs
    if not card.continues:
        raise ModelError(f"{path}: a .pt2 predicts frames. Export surprise as an .onnx of the kind 'surprise'.")
    if inputs and (inputs[0] != "context" or not state_names(inputs) or len(set(inputs)) < len(inputs)):
        raise ModelError(f"{path}: expected its inputs to be context and at least one state, got {', '.join(inputs)}.")
    for field, name in (("uses_actions", "action"), ("uses_camera", "action"), ("stochastic", "noise")):
        if getattr(card, field) and name not in inputs:
            raise ModelError(f"{path}: its card says {field}=True, but the program has no input `{name}`.")
    if card.uses_prompt:
        raise ModelError(f"{path}: its card says uses_prompt=True, but a program takes no text.")


class ExportedProgramAdapter(Adapter):
    """A torch.export program, whatever its name."""

    name = "pt2"
    summary = "path/to/model.pt2  a program of torch.export; it can run code, so that it needs --trust-code"

    def recognises(self, target: str) -> bool:
        path = Path(target)
        return path.is_file() and looks_like_program(path)

    def _path(self, target: str) -> Path:
        path = Path(without_scheme(target, self.name))
        if not path.is_file() or not looks_like_program(path):
            raise ModelError(describe_unrecognised(str(path)))
        return path

    def code_warning(self, target: str) -> str:
        return (
            f"{self._path(target)} is a torch.export program. Loading it can run any code that is in it, with your "
            "rights.\nIf you trust who made it, give --trust-code; an .onnx file of the same model runs no code."
        )

    def check(self, target: str) -> None:
        read_program_document(self._path(target))

    def sha256(self, target: str) -> str | None:
        return file_sha256(self._path(target))

    def load(self, target: str, *, device: torch.device, dtype: torch.dtype, model_args: Mapping[str, str]) -> Model:
        from physbench.models.graphs.program_model import load_program

        path = self._path(target)
        if model_args:
            raise ModelError(f"--model-arg {next(iter(model_args))}: a program takes no arguments.")
        if str(dtype) != "torch.float32":
            raise ModelError(f"{path}: --dtype does not change a program, which holds its own types. Leave it out.")
        return load_program(path, read_program_document(path), device)


adapter = ExportedProgramAdapter()
