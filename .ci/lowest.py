"""Print pip constraints that hold every dependency at the lowest version that pyproject.toml allows."""

import re
import tomllib
from pathlib import Path

project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
for requirement in project["dependencies"] + project["optional-dependencies"]["test"]:
    floor = re.fullmatch(r"([\w.-]+)>=([\d.]+)", requirement)
    if floor:  # the stubs of the type checker have none
        print(f"{floor[1]}=={floor[2]}")
