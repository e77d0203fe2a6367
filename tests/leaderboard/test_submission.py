"""Archives: the same bytes each time, and nothing else than a submission comes out of one."""

from __future__ import annotations

import stat
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from physbench.leaderboard import submission
from physbench.leaderboard.submission import opened_submission, write_archive
from physbench.support.errors import UsageError


def test_what_is_written_is_read_again_and_depends_on_content_alone(tmp_path: Path) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    a.write_bytes(b"{}")
    b.write_bytes(bytes(range(256)) * 100)
    files = {"manifest.json": a, "tracks/falling.projectile-v1.test.0.0.npz": b}
    write_archive(tmp_path / "one.zip", files)
    b.touch()
    write_archive(tmp_path / "two.zip", dict(reversed(files.items())))
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    with opened_submission(tmp_path / "one.zip") as folder:
        kept = folder.path
        assert folder.manifest.read_bytes() == b"{}"
        assert folder.tracks("falling.projectile-v1.test.0").read_bytes() == b.read_bytes()
    assert not kept.exists() and (tmp_path / "one.zip").is_file()
    with pytest.raises(ValueError, match="no part of a submission"):
        write_archive(tmp_path / "three.zip", {"../x": a})


def links(archive: zipfile.ZipFile) -> None:
    info = zipfile.ZipInfo("tracks/link.npz")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    archive.writestr(info, "/etc/passwd")


def bomb(archive: zipfile.ZipFile) -> None:
    archive.writestr("scores.parquet", bytes(50_000_000), zipfile.ZIP_DEFLATED)


def twice(archive: zipfile.ZipFile) -> None:
    archive.writestr("result.json", "{}")
    with pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("result.json", "[]")


@pytest.mark.parametrize(
    ("fill", "said"),
    [
        (lambda archive: archive.writestr("../manifest.json", "{}"), "no part of a submission"),
        (lambda archive: archive.writestr("/etc/passwd", "x"), "no part of a submission"),
        (lambda archive: archive.writestr("tracks/../../x.npz", "x"), "no part of a submission"),
        (lambda archive: archive.writestr("tracks\\x.npz", "x"), "no part of a submission"),
        (lambda archive: archive.writestr("report/index.html", "<script>"), "no part of a submission"),
        (lambda archive: archive.writestr("tracks/a.npz", "x", zipfile.ZIP_BZIP2), "not read"),
        (lambda archive: archive.writestr("tracks/", ""), "no part of a submission"),
        (twice, "holds a file twice"),
        (bomb, "more than"),
    ],
)
def test_hostile_archives_are_refused_before_they_are_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fill: Callable[[zipfile.ZipFile], None], said: str
) -> None:
    monkeypatch.setattr(submission, "SENT", replace(submission.SENT, bytes=10_000_000))
    path = tmp_path / "s.zip"
    with zipfile.ZipFile(path, "w") as archive:
        fill(archive)
    with pytest.raises(UsageError, match=said), opened_submission(path):
        pass


def test_a_link_in_an_archive_is_a_file_like_any_other(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "s.zip", "w") as archive:
        links(archive)
    with opened_submission(tmp_path / "s.zip") as folder:
        path = folder.path / "tracks" / "link.npz"
        assert not path.is_symlink() and path.read_text() == "/etc/passwd"


@pytest.mark.parametrize("at", [0, 35, 50, -30, -10])
def test_damaged_archives_are_named(tmp_path: Path, at: int) -> None:
    """Bytes of the head, of the content and of the directory are others."""
    path = tmp_path / "s.zip"
    (tmp_path / "a").write_bytes(b"{}" * 30)
    write_archive(path, {"manifest.json": tmp_path / "a"})
    content = bytearray(path.read_bytes())
    content[at] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"s\.zip"), opened_submission(path):
        pass
