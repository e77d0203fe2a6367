"""Print the commands of the README's `sh` blocks, one a line: CI runs what the README says, word for word."""

import re
from pathlib import Path

readme = Path(__file__).parent.parent / "README.md"
blocks = re.findall(r"^```sh\n(.*?)^```", readme.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
commands = [line for block in blocks for line in block.splitlines() if line.strip()]
if len(commands) != 2:
    raise SystemExit(f"Expected exactly 2 set-up commands in README.md, got {len(commands)}: {commands}")
print("\n".join(commands))
