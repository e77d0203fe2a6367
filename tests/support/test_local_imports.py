"""What a file imports from its own folder is found without running it."""

from __future__ import annotations

from pathlib import Path

import pytest

from physbench.support.plugins import local_imports, sources_hash


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    files = {
        "mine.py": "import json, numpy, near\nfrom physbench import scorer\nif near:\n    import pack.inner.deep\n",
        "near.py": "import further as other, mine\n",
        "further.py": "raise SystemExit('it was run')\n",
        "pack/__init__.py": "from . import sibling\n",
        "pack/inner/__init__.py": "from ..cousin import name\n",
        "pack/inner/deep.py": "",
        "pack/sibling.py": "from .inner import nothing_of_that_name\n",
        "pack/cousin.py": "from ...outside import of_the_folder\n",
        "pack/alone.py": "",
        "json.py": "",  # the standard library's comes first
        "numpy.py": "",  # and so does what is installed
        "physbench/__init__.py": "",
        "alone.py": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_imports_are_followed_and_nothing_else_is_found(folder: Path) -> None:
    found = [path.relative_to(folder).as_posix() for path in local_imports(folder / "mine.py")]
    inner = ["pack/inner/__init__.py", "pack/inner/deep.py"]
    assert found == ["further.py", "near.py", "pack/__init__.py", "pack/cousin.py", *inner, "pack/sibling.py"]
    assert local_imports(folder / "alone.py") == ()


def test_the_hash_moves_with_each_of_them(folder: Path) -> None:
    mine = folder / "mine.py"
    before = sources_hash(mine)
    (folder / "alone.py").write_text("edited")
    assert sources_hash(mine) == before
    seen = {before}
    for path in (mine, *local_imports(mine)):
        path.write_text(path.read_text() + "\n")
        seen.add(sources_hash(mine))
    assert len(seen) == 2 + len(local_imports(mine))


def test_a_neighbour_that_is_no_python_is_left_to_its_import(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("import not_python_at_all")
    (tmp_path / "not_python_at_all.py").write_text("def (:")
    assert local_imports(tmp_path / "mine.py") == (tmp_path / "not_python_at_all.py",)


def test_a_link_to_another_folder_is_hashed_by_its_own_name(tmp_path: Path) -> None:
    away, here = tmp_path / "away", tmp_path / "here"
    away.mkdir(), here.mkdir()
    (away / "shared.py").write_text("import beside")
    (here / "shared.py").symlink_to(away / "shared.py")
    (here / "beside.py").write_text("")
    (here / "mine.py").write_text("import shared")
    assert local_imports(here / "mine.py") == (here / "beside.py", here / "shared.py")
    before = sources_hash(here / "mine.py")
    (away / "shared.py").write_text("import beside, os")
    assert sources_hash(here / "mine.py") != before
