"""Fail where a file of the repository is missing from the wheel: a forgotten sub-package imports from a checkout."""

import sys
import zipfile
from pathlib import Path

root = Path(__file__).parent.parent
wanted = set()
for top, prefix in (
    ("physbench", ""),
    ("tasks", "physbench/"),
    ("scorers", "physbench/"),
    ("leaderboard", "physbench/"),
):
    for path in (root / top).rglob("*"):
        relative = path.relative_to(root)
        linked = top == "physbench" and relative.parts[1] in ("tasks", "scorers", "leaderboard")
        if path.is_file() and "__pycache__" not in relative.parts and not linked:
            wanted.add(prefix + relative.as_posix())
held = set(zipfile.ZipFile(sys.argv[1]).namelist())
missing = sorted(wanted - held)
if missing:
    raise SystemExit("Missing from the wheel:\n  " + "\n  ".join(missing))
print(f"{len(wanted)} files of the package are in the wheel")
