"""Entry points: everybody's in the same way, and a broken one named."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from physbench.support import plugins
from physbench.support.errors import PhysbenchError, UsageError


def test_the_built_in_parts_are_found_as_anybodys() -> None:
    for group in ("tasks", "scorers", "adapters", "architectures"):
        for name in plugins.entries(f"physbench.{group}"):
            assert plugins.load(f"physbench.{group}", name) is not None


def test_an_unknown_name_offers_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"no scorer named 'drift/acuracy'\. Did you mean drift/accuracy"):
        plugins.load("physbench.scorers", "drift/acuracy")


def test_a_package_that_cannot_be_imported_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = EntryPoint("mine/laws-v1", "no_such_package.laws:law", "physbench.scorers")
    monkeypatch.setattr(plugins, "entries", lambda group: {broken.name: broken})
    with pytest.raises(PhysbenchError, match=r"'mine/laws-v1' of no_such_package\.laws:law .*ModuleNotFoundError"):
        plugins.load("physbench.scorers", "mine/laws-v1")
