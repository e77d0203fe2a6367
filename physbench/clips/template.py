"""Templates: a task or a scorer that works, to be changed into somebody's own, and a test of it."""

from __future__ import annotations

import keyword
import re
from importlib.resources import files
from pathlib import Path
from typing import Literal

from physbench.support.errors import UsageError
from physbench.support.plugins import entries

NAME = r"[a-z][a-z0-9]*(-[a-z0-9]+)*"


def write_template(kind: Literal["task", "scorer"], name: str, family: str, folder: Path) -> tuple[Path, Path]:
    """Write NAME.py and test_NAME.py into `folder` and return their paths.

    Raises UsageError for a name that cannot be one or is taken, and where a file is there already.
    """
    stem = name.strip().removesuffix(".py").replace("_", "-").replace(" ", "-").lower()
    for what, text in (("name", stem), ("family", family)):
        if not re.fullmatch(NAME, text):
            raise UsageError(f"'{text}' is no {what}: expected small letters, digits and hyphens, as in bouncing-box.")
    file = f"{stem.replace('-', '_')}.py"
    paths = (folder / file, folder / f"test_{file}")
    for path in paths:
        if path.exists():
            raise UsageError(f"'{path}' exists and is not overwritten. Choose another name or --out.")
    words = {
        "title": stem.replace("-", " ").capitalize(),
        "file": file,
        "id": f"{family}/{stem}-v1" if kind == "task" else f"{family}/{stem}",
        "name": "".join(part.capitalize() for part in stem.split("-")) if kind == "task" else stem.replace("-", "_"),
    }
    if words["id"] in entries(f"physbench.{kind}s"):
        raise UsageError(f"There is a {kind} '{words['id']}' already. Choose another name or --family.")
    source = files("physbench.clips").joinpath("templates", f"{kind}.py.txt").read_text(encoding="utf-8")
    if keyword.iskeyword(words["name"]) or re.search(rf"(?m)^(import|from) (.*\([^)]*|.*)\b{words['name']}\b", source):
        raise UsageError(f"'{words['name']}' has a meaning in the file already. Choose a longer name, as in my-{stem}.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, template in zip(paths, (f"{kind}.py.txt", f"test_{kind}.py.txt"), strict=True):
            text = files("physbench.clips").joinpath("templates", template).read_text(encoding="utf-8")
            path.write_text(text.format(**words), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"Cannot write into {folder.absolute()}: {error.strerror}. Choose another --out.") from error
    return paths
