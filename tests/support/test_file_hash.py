"""Hashes of large files."""

from __future__ import annotations

import hashlib
from pathlib import Path

from physbench.support.files import BLOCK, add_file


def test_a_file_of_several_blocks_has_the_hash_of_its_bytes(tmp_path: Path) -> None:
    content = bytes(range(256)) * (BLOCK // 256) + b"the rest"
    (tmp_path / "weights").write_bytes(content)
    digest = hashlib.sha256(b"before")
    add_file(digest, tmp_path / "weights")
    assert digest.hexdigest() == hashlib.sha256(b"before" + content).hexdigest()
