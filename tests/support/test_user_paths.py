"""Paths as a user writes them: what is none is refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from physbench.support.errors import UsageError
from physbench.support.files import user_path, user_text


def test_home_folders_are_put_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert user_path("~/nets/a.pt") == Path("/home/me/nets/a.pt")
    assert user_path("nets/~a.pt") == Path("nets/~a.pt")


def test_a_file_may_begin_with_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "~nobody-here").write_text("")
    assert user_path("~nobody-here") == Path("~nobody-here")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("~nobody-here/net.onnx", "the home folder ~nobody-here is not known here"),
        ("net\0.onnx", r"it holds a NUL character"),
    ],
)
def test_what_can_be_no_path_is_refused_in_a_line(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        user_path(text)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_text_is_read_as_editors_write_it(encoding: str, end: str) -> None:
    assert user_text(end.join(("one = 1", "# ü 物", "")).encode(encoding)) == "one = 1\n# ü 物\n"
    assert user_text(b"") == ""


def test_a_text_in_another_encoding_is_named_with_its_line() -> None:
    with pytest.raises(ValueError, match="line 3 is not in UTF-8: save it as UTF-8"):
        user_text("one\ntwo\nGröße\n".encode("latin-1"))
