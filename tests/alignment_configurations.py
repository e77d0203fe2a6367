"""benchmarks/alignment.py as a module: how videos are made from ground truth there."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

PATH = Path(__file__).parents[1] / "benchmarks" / "alignment.py"


def _loaded() -> ModuleType:
    spec = importlib.util.spec_from_file_location("alignment_benchmark", PATH)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


bench = _loaded()
