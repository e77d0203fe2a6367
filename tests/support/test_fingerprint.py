"""The sources that decide: what is followed, what changes a fingerprint, and what each purpose covers."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from importlib.metadata import entry_points
from itertools import count
from pathlib import Path

import pytest

from physbench.support import fingerprint as module
from physbench.support.fingerprint import NEVER, PURPOSES, digest, fingerprint, follow, sources

ROOT = Path(__file__).parents[2]
_number = count()

Package = Callable[..., str]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Package:
    """package({"a.py": text, ...}): the name of a package with these modules; PKG in a text stands for that name."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(files: dict[str, str]) -> str:
        name = f"toy{next(_number)}"
        for path, text in {"__init__.py": "", **files}.items():
            file = tmp_path / name / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text.replace("PKG", name))
        return name

    return make


def covered(name: str, *entries: str, without: tuple[str, ...] = ()) -> set[str]:
    """Modules that are covered, as they are called in their package."""
    found = follow([f"{name}.{entry}" for entry in entries], [f"{name}.{each}" for each in without])
    return {each.removeprefix(f"{name}.") for each in found}


@pytest.mark.parametrize(
    "text",
    [
        "from PKG import b",
        "from PKG.b import x",
        "import PKG.b",
        "import os, PKG.b as b",
        "from . import b",
        "from .b import x, y",
        "from PKG.b import (\n    x,  # ) not the end\n    y,\n)",
        "from PKG import \\\n    b",
        "def f():\n    if True:\n        from PKG.b import x",
        "class A:\n    async def f(self):\n        import PKG.b",
        "try:\n    from PKG import b\nexcept ImportError:\n    b = None",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from PKG import c\nelse:\n    from PKG import b",
        "from typing import TYPE_CHECKING\nif not TYPE_CHECKING:\n    from PKG import b",
        'def f():\n    """Takes what comes\n    from PKG and not what is elsewhere.\n    """\n    from PKG import b',
    ],
)
def test_imports_are_followed_at_whatever_depth(package: Package, text: str) -> None:
    name = package({"a.py": text, "b.py": "import PKG.d", "c.py": "", "d.py": "x = 1"})
    assert covered(name, "a") == {"a", "b", "d"}


@pytest.mark.parametrize(
    "text",
    [
        "import os, numpy\nfrom json import loads",
        "from typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    import os\n\n    from PKG.b import x\n",
        "import typing\nif typing.TYPE_CHECKING:\n    from PKG import (\n    b,\n)\n",
    ],
)
def test_neither_other_packages_nor_what_type_checkers_read_are_followed(package: Package, text: str) -> None:
    assert covered(package({"a.py": text, "b.py": ""}), "a") == {"a"}


def test_relative_imports_start_from_their_own_package(package: Package) -> None:
    files = {"sub/__init__.py": "", "sub/a.py": "from .b import x\nfrom ..c import y\nfrom .. import d"}
    name = package({**files, "sub/b.py": "", "c.py": "", "d.py": "", "b.py": ""})
    assert covered(name, "sub.a") == {"sub.a", "sub.b", "c", "d"}
    nested = package(
        {"sub/__init__.py": "from .b import x\nz = 1", "sub/b.py": "", "b.py": "", "a.py": "import PKG.sub"}
    )
    assert covered(nested, "a") == {"a", "sub", "sub.b"}


def test_a_package_is_an_entry_with_all_that_is_in_it(package: Package) -> None:
    name = package(
        {"sub/__init__.py": "", "sub/a.py": "import PKG.b", "sub/deep/__init__.py": "", "b.py": "", "c.py": ""}
    )
    (Path(follow([name])[name]).parent / "sub" / "deep" / "x.py").write_text("")
    assert covered(name, "sub") == {"sub", "sub.a", "sub.deep", "sub.deep.x", "b"}
    assert covered(name, "sub", without=("sub.deep", "b")) == {"sub", "sub.a"}


def test_a_name_of_a_package_leads_to_all_that_the_package_imports(package: Package) -> None:
    """A module may do no more than register something: it decides, whatever name is taken from the package."""
    face = "from PKG.sub import c\nfrom PKG.sub.b import x, d\nz = 1"
    modules = {"sub/b.py": "", "sub/c.py": "", "sub/d.py": "", "sub/e.py": "", "sub/f.py": ""}
    for member in ("x", "z", "d"):  # `d` is a name in `b`, and not the module that is called so
        name = package({"sub/__init__.py": face, **modules, "a.py": f"from PKG.sub import {member}"})
        assert covered(name, "a") == {"a", "sub", "sub.b", "sub.c"}, member
    name = package({"sub/__init__.py": face, **modules, "a.py": "from PKG.sub import e\nimport PKG.sub.f"})
    assert covered(name, "a") == {"a", "sub.e", "sub.f"}


def test_a_name_that_a_package_hands_out_lazily_leads_to_where_it_comes_from(package: Package) -> None:
    lazy = (
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from PKG.inner import x as x\n    from .c import y\n"
    )
    files = {"outer/__init__.py": lazy, "outer/c.py": "", "b.py": "", "inner/__init__.py": lazy.replace("inner", "b")}
    name = package({**files, "inner/c.py": "", "a.py": "from PKG.outer import x"})
    assert covered(name, "a") == {"a", "outer", "inner", "b"}


def test_modules_that_import_each_other_end(package: Package) -> None:
    assert covered(package({"a.py": "import PKG.b", "b.py": "def f():\n    import PKG.a"}), "a") == {"a", "b"}


@pytest.mark.parametrize(
    "text", ["import PKG.gone", "from PKG.gone import x", "def f():\n    from PKG.sub.gone import x"]
)
def test_what_does_not_exist_is_said(package: Package, text: str) -> None:
    """A module that was moved must not weaken a key without a word."""
    name = package({"a.py": text, "sub/__init__.py": ""})
    with pytest.raises(ModuleNotFoundError, match=rf"no module '{name}.*gone', which {name}\.a imports"):
        covered(name, "a")
    with pytest.raises(ModuleNotFoundError, match=rf"no module '{name}\.missing', which a fingerprint starts from"):
        covered(name, "missing")
    with pytest.raises(ModuleNotFoundError, match=rf"no module '{name}\.sub\.missing', which a fingerprint leaves out"):
        covered(name, "sub", without=("sub.missing",))
    with pytest.raises(ModuleNotFoundError, match="no module 'toys_in_no_folder'"):
        follow(["toys_in_no_folder"])


def test_a_purpose_whose_module_was_moved_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    moved = module.Purpose(("physbench.clips.was_moved",))
    monkeypatch.setattr(module, "PURPOSES", {"clips": moved})
    with pytest.raises(ModuleNotFoundError, match=r"physbench\.clips\.was_moved"):
        fingerprint.__wrapped__("clips")


def test_edits_deep_in_the_chain_change_it_and_others_do_not(package: Package) -> None:
    name = package({"a.py": "import PKG.b", "b.py": "def f():\n    import PKG.c", "c.py": "x = 1", "d.py": ""})
    modules = follow([f"{name}.a"])
    before = digest(modules)
    folder = modules[f"{name}.a"].parent
    (folder / "d.py").write_text("edited = True")
    assert digest(follow([f"{name}.a"])) == before
    (folder / "c.py").write_text("x = 2")
    assert digest(follow([f"{name}.a"])) != before
    (folder / "c.py").write_text("x = 1")
    assert digest(follow([f"{name}.a"])) == before
    (folder / "b.py").write_text("def f():\n    import PKG.c, PKG.d".replace("PKG", name))
    assert set(follow([f"{name}.a"])) - set(modules) == {f"{name}.d"}


def test_neither_order_nor_place_of_the_files_matters(package: Package, tmp_path: Path) -> None:
    name = package({"a.py": "import PKG.b", "b.py": "x = 1"})
    forth, back = follow([f"{name}.a", f"{name}.b"]), follow([f"{name}.b", f"{name}.a"])
    assert digest(forth) == digest(back) == digest(dict(reversed(forth.items())))
    copies = {each: tmp_path / f"copy-{each}" for each in forth}
    for each, path in copies.items():
        path.write_bytes(forth[each].read_bytes())
    assert digest(copies) == digest(forth)
    swapped = dict(zip(forth, reversed(forth.values()), strict=True))
    assert digest(swapped) != digest(forth)


# The purposes of physbench


@pytest.mark.parametrize("purpose", PURPOSES)
def test_every_purpose_resolves_and_leaves_out_nothing_that_is_not_there(purpose: str) -> None:
    """An exception that nothing imports any more says something untrue."""
    found = sources(purpose)
    assert all(path.is_file() for path in found.values())
    assert len(fingerprint(purpose)) == 64 and fingerprint(purpose) == fingerprint(purpose)
    assert not [name for name in found if f"{name}.".startswith(tuple(f"{each}." for each in NEVER))]
    chosen = PURPOSES[purpose]
    for left_out in chosen.without:
        others = tuple(each for each in chosen.without if each != left_out)
        assert left_out in follow(chosen.entries, (*NEVER, *others)), left_out


def test_fingerprints_differ() -> None:
    assert len({fingerprint(purpose) for purpose in PURPOSES}) == len(PURPOSES)


@pytest.mark.parametrize("step", [5, pytest.param(1, marks=pytest.mark.slow)])
def test_lines_of_imports_are_all_that_a_module_imports(step: int) -> None:
    """Whole modules are not parsed, since that takes ten times as long; what comes out is the same."""
    for name, path in sorted({(name, path) for purpose in PURPOSES for name, path in sources(purpose).items()})[::step]:
        text, is_package = path.read_bytes(), path.name == module.INIT
        whole = {(base, member) for base, member, _ in module._names(ast.parse(text), name, is_package)}
        assert whole == set(module._imported(text, name, is_package)), name


def test_where_names_of_modules_are_computed_the_table_says_what_they_are() -> None:
    """Imports by `import_module` are not followed. Who adds one names in PURPOSES what it leads to."""
    computing = {
        name
        for purpose in PURPOSES
        for name, path in sources(purpose).items()
        if b"import_module(" in path.read_bytes() or b"__import__(" in path.read_bytes()
    }
    # One imports models of users, one hands out names that type checkers follow, one is called by users alone.
    assert computing == {module.VIOLATIONS, "physbench.models.python_code", "physbench.score"}


def names(purpose: str) -> set[str]:
    return {name.removeprefix("physbench.") for name in sources(purpose)}


def test_a_clip_depends_on_the_world_and_on_no_task_or_scorer() -> None:
    found = names("clips")
    assert {"clips.generate", "world.scene", "world.bullet", "world.drawing"} <= found
    assert {name.partition(".")[0] for name in found} == {"clips", "world"}
    assert not found & {"clips.task", "clips.store", "clips.suite"}


def test_the_plain_look_does_not_depend_on_what_draws_another_one() -> None:
    others = set(PURPOSES) - {"natural", "kernels"}  # compiled functions of both looks are kept under one stamp
    assert not [name for purpose in others for name in names(purpose) if "natural" in name]
    assert {"world.styles.natural.stage", "world.styles.natural.frames", "world.drawing"} <= names("natural")


def test_the_predictability_time_depends_on_no_scorer() -> None:
    found = names("predictability")
    assert {"score.predictability", "shadowing.context", "laws.kepler", "world.bullet"} <= found
    assert not [name for name in found if name.startswith(("scorers.", "tasks.", "models.", "rollout."))]
    assert not found & {"laws.event_loop", "shadowing.shadow", "track.tracker"}


def test_references_cover_scorers_and_tasks_but_no_model() -> None:
    found = names("references")
    assert {"baselines.constant_velocity", "rollout.predict", "track.tracker", "score.protocol"} <= found
    assert {"scorers.diagnostics.gravity", "tasks.falling", "score.score_clip", "laws.event_loop"} <= found
    others = ("baselines.physicist", "cli.", "reference.", "result.report.", "validity.")
    assert not [name for name in found if name.startswith(others)]
    assert "models.load_model" not in found


def test_runs_cover_all_that_a_name_of_a_model_leads_to() -> None:
    found = names("runs")
    assert names("references") < found and names("clips") < found and names("predictability") < found
    groups = ("adapters", "baselines", "architectures", "scorers", "tasks")
    for entry in (entry for group in groups for entry in entry_points(group=f"physbench.{group}")):
        if entry.module.startswith("physbench."):
            assert entry.module.removeprefix("physbench.") in found, entry
    assert {"models.load_model", "rollout.server", "baselines.physicist"} <= found
    assert {"validity.violations.violation_motion", "validity.lawful_alternatives"} <= found
    assert not [
        name for name in found if name.startswith(("validity.task_checks.", "cli.", "leaderboard.", "result.report."))
    ]


def test_a_part_of_a_validity_table_does_not_depend_on_how_tables_are_made() -> None:
    found = names("validity")
    modules = {
        "gaming_baselines",
        "lawful_alternatives",
        "measure",
        "sources",
    }
    package = {name.removeprefix("validity.") for name in found if name.startswith("validity.")}
    assert {name for name in package if not name.startswith("violations")} == modules
    assert {"scorers.diagnostics.gravity", "tasks.falling", "laws.event_loop"} <= found
    folder = ROOT / "physbench" / "validity" / "violations"
    assert {f"violations.{path.stem}" for path in folder.glob("[!_]*.py")} <= package


def test_kernels_cover_whatever_is_compiled_and_little_else() -> None:
    found = sources("kernels")
    folder = ROOT / "physbench"
    compiled = {
        "physbench." + ".".join(path.relative_to(folder).with_suffix("").parts)
        for path in folder.rglob("*.py")
        if re.search(r"^@(compiled$|borrowing$|kernel\()", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert compiled and compiled <= set(found)
    constants = {"physbench.laws.impacts", "physbench.world.scene"}
    assert set(found) - compiled == {*constants, "physbench.world.compiled"}
