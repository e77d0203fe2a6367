"""Workers start wherever the user stands."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROGRAM = """
from physbench.run.pool import Pool
if __name__ == "__main__":
    with Pool(1) as pool:
        print(pool.submit(len, "abc").result())
"""


def test_a_folder_called_physbench_does_not_hide_the_package(tmp_path: Path) -> None:
    (tmp_path / "physbench").mkdir()
    script = tmp_path / "scripts" / "program.py"
    script.parent.mkdir()
    script.write_text(PROGRAM)
    done = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "3\n"), done.stderr
