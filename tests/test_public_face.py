"""What authors of tasks, scorers and models import from physbench is there, and type checkers see the same names."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

import physbench
import physbench.data


def test_every_public_name_is_found_and_described() -> None:
    for name in physbench._HOMES:
        assert getattr(physbench, name) is not None and f"`{name}`" in (physbench.__doc__ or ""), name
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = physbench.nonsense
    assert set(physbench._HOMES) <= set(dir(physbench))


def test_type_checkers_see_the_same_names() -> None:
    tree = ast.parse(Path(physbench.__file__).read_text(encoding="utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    seen = {alias.name: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert seen == physbench._HOMES


def test_the_package_of_data_exports_what_it_says() -> None:
    module = importlib.import_module("physbench.data")
    assert all(getattr(module, name) is not None for name in module.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = module.nonsense
