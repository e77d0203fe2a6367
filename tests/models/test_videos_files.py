"""Everything that can be wrong with a folder of videos is said exactly, and nothing in it is trusted."""

from __future__ import annotations

import os
import struct
import tarfile
import time
import zipfile
import zlib
from types import SimpleNamespace

import numpy as np
import pytest

from physbench.clips.video import Codec, encode, png
from physbench.models.load_model import find_adapter
from physbench.models.videos.adapter import adapter, open_target
from physbench.models.videos.files import SourceFile, VideoSource, list_answers
from physbench.models.videos.model import inspect_videos
from physbench.support.errors import ModelError, UsageError

MP4 = Codec(".mp4", "mp4", "libx264", "yuv420p", {"crf": "18", "preset": "veryfast"})


@pytest.fixture
def good(answered):
    """The folder with a good video for each of its two clips."""
    for clip_id in answered.ids:
        encode(answered.folder / f"{clip_id}.mkv", answered.truth(clip_id), 15)
    return answered


def found(answered, **model_args):
    """{kind: [words]} of `physbench models check`."""
    said: dict[str, list[str]] = {}
    for kind, text in inspect_videos(*open_target(f"videos:{answered.folder}", model_args)):
        said.setdefault(kind, []).append(text)
    return said


def test_nothing_is_wrong(good) -> None:
    assert found(good) == {"note": ["Videos of 64x64 px at 15 frames/s are scored as 64x64@15."]}


def test_missing_extra_and_wrongly_named(good) -> None:
    first, second = good.ids
    (good.folder / f"{second}.mkv").rename(good.folder / f"{second.replace('test.1', 'test1')}.mkv")
    (good.folder / "holiday.mp4").write_bytes(b"x")
    (good.folder / "notes.docx").write_bytes(b"x")
    (good.folder / ".DS_Store").write_bytes(b"x")
    said = found(good)
    assert [text.split(" (")[0] for text in said["missing"]] == [f"There is no video '{second}'"]
    assert "Did you mean 'collisions.head-on-v1.test1.mkv'?" in said["missing"][0]
    assert said["extra"] == [
        "collisions.head-on-v1.test1.mkv (named after no clip)",
        "holiday.mp4 (named after no clip)",
        "notes.docx (no video (.mp4, .m4v, .webm, .mkv, .mov, .gif, .avi or a folder of PNG))",
    ]
    assert said["result"] == ["1 of 2 videos cannot be scored"]
    with pytest.raises(ModelError, match="Did you mean"):
        good.play(second)
    assert len(good.play(first)) == 60, "the others are not touched by it"


def test_a_name_in_capitals_is_recognised(good) -> None:
    clip_id = good.ids[1]
    (good.folder / f"{clip_id}.mkv").rename(good.folder / f"{clip_id.upper()}.MKV")
    assert f"Did you mean '{clip_id.upper()}.MKV'?" in found(good)["missing"][0]


def test_rates_are_in_order(good) -> None:
    first, second = good.ids
    encode(good.folder / f"{first}.mkv", good.truth(first), 12)
    encode(good.folder / f"{second}.mkv", good.truth(second), 8)
    assert found(good)["note"][0].startswith("Videos of 64x64 px at 8, 12 frames/s")


@pytest.mark.parametrize("suffix", [".webp", ".png", ".npy"])
def test_a_format_that_is_not_read(answered, suffix) -> None:
    """A file of the right name, such as an animated WebP or PNG, is not to be renamed but saved as something else."""
    clip_id = answered.ids[0]
    (answered.folder / f"{clip_id}{suffix}").write_bytes(b"x")
    missing = found(answered)["missing"][0]
    assert missing.endswith(f"or a folder of PNG). {clip_id}{suffix} is none of these: save it as one of them.")


def test_two_files_for_one_clip(good) -> None:
    clip_id = good.ids[0]
    encode(good.folder / f"{clip_id}.mp4", good.truth(clip_id), 15, MP4)
    assert found(good)["unusable"] == [f"Several files for one clip ({clip_id}.mkv, {clip_id}.mp4): keep one."]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm", ".gif", ".avi"])
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<!doctype html><html>Sign in to download</html>",
        b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
        b"ffconcat version 1.0\nfile /etc/passwd\n",
        bytes(range(256)) * 40,
    ],
    ids=["empty", "page", "playlist", "concat", "noise"],
)
def test_no_video_at_all(answered, suffix, content) -> None:
    """A playlist or a list of files is no video, whatever it is called: nothing else is ever opened for it."""
    clip_id = answered.ids[0]
    (answered.folder / f"{clip_id}{suffix}").write_bytes(content)
    [words] = found(answered)["unusable"]
    assert words.startswith(f"{clip_id}{suffix}")
    with pytest.raises(ModelError, match=r"empty|damaged or not a video|holds no frames"):
        answered.play(clip_id)


def test_damage_in_the_middle_fails_the_clip(good) -> None:
    clip_id = good.ids[0]
    path = good.folder / f"{clip_id}.mkv"
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 200] = os.urandom(200)
    path.write_bytes(content)
    assert len(found(good)["unusable"]) == 1
    path.unlink()
    encode(good.folder / f"{clip_id}.mp4", good.truth(clip_id), 15, MP4)
    content = bytearray((good.folder / f"{clip_id}.mp4").read_bytes())
    (good.folder / f"{clip_id}.mp4").write_bytes(content[: len(content) // 2])  # its index is at the end
    assert "damaged or not a video" in found(good)["unusable"][0]


def test_a_file_that_is_cut_off_is_short(good) -> None:
    clip_id = good.ids[0]
    path = good.folder / f"{clip_id}.mkv"
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    said = found(good)
    [words] = said.get("short", []) + said.get("unusable", [])
    assert "of 60 frames" in words or "damaged" in words


def _png_of(width: int, height: int) -> bytes:
    """A PNG that says that it is as large as this, and holds nothing."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")]
    body = b"".join(struct.pack(">I", len(c)) + t + c + struct.pack(">I", zlib.crc32(t + c)) for t, c in chunks)
    return b"\x89PNG\r\n\x1a\n" + body


def test_gigantic_pictures_are_refused_before_they_are_decoded(answered) -> None:
    clip_id = answered.ids[0]
    folder = answered.folder / clip_id
    folder.mkdir()
    (folder / "0.png").write_bytes(_png_of(2**31 - 1, 2**31 - 1))
    assert "expected 16 to 4096 px a side, got 2147483647x2147483647" in found(answered)["unusable"][0]
    (folder / "0.png").write_bytes(_png_of(64, 64))
    assert "damaged" in found(answered)["unusable"][0]
    (folder / "0.png").unlink()
    folder.rmdir()
    encode(answered.folder / f"{clip_id}.mkv", np.zeros((1, 8, 8, 3), np.uint8), 15)
    assert "got 8x8" in found(answered)["unusable"][0]


def test_pictures_that_are_no_sequence(answered) -> None:
    folder = answered.folder / answered.ids[0]
    folder.mkdir()
    frame = answered.truth(answered.ids[0])[0]
    assert "missing" in found(answered), "an empty folder is nothing"
    (folder / "a.txt").write_text("x")
    assert "expected numbered PNG files and nothing else" in found(answered)["unusable"][0]
    (folder / "a.txt").rename(folder / "first.png")
    assert "no number" in found(answered)["unusable"][0]
    (folder / "first.png").unlink()
    (folder / "1.png").write_bytes(png(frame))
    (folder / "01.png").write_bytes(png(frame))
    assert "two files of number 1" in found(answered)["unusable"][0]
    (folder / "01.png").unlink()
    (folder / "2.png").write_bytes(png(frame[:32]))
    assert "2.png is 64x32" in found(answered)["unusable"][0]


@pytest.mark.parametrize(
    "name",
    [
        "frame_{0:03}_of_060.png",
        "frame{0}_of_take_7.png",  # ryouchinsa/Rectlabel-support#147
        "{0:05}_t{1:.3f}.png",
        "clip-12_{0}_1280x720.png",
        "{0}.png",
    ],
)
def test_the_number_that_counts_is_found(answered, name) -> None:
    """Pictures are in the order of the number that counts up by one, wherever it stands."""
    clip_id = answered.ids[0]
    truth = answered.truth(clip_id)
    folder = answered.folder / clip_id
    folder.mkdir()
    for number, frame in enumerate(truth):
        (folder / name.format(number + 1, number / 15)).write_bytes(png(frame))
    assert np.array_equal(answered.play(clip_id), truth)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["{0}_{1}.png"], "two numbers of the names count, in different orders"),
        (["t{2}.png"], "frame 1 is missing between 0 and 295"),
        (["a{0}.png", "b{0}.png"], "two files of number 1"),
    ],
)
def test_numbers_that_do_not_count_are_named_with_the_remedy(answered, names, words) -> None:
    folder = answered.folder / answered.ids[0]
    folder.mkdir()
    for number in range(1, 61):
        for name in names:
            (folder / name.format(number, 61 - number, (number - 1) * 5)).write_bytes(b"x")
    [said] = found(answered)["unusable"]
    assert words in said and said.endswith(
        "Name them so that one number counts up by 1, such as 0001.png, 0002.png ..."
    )


def test_encrypted_archives(good, tmp_path) -> None:
    """detly/arkfind#7, GW2Raidar/gw2raidar#162."""
    archive = tmp_path / "secret.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for path in good.folder.iterdir():
            packed.write(path, path.name)
    content = bytearray(archive.read_bytes())
    for start, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = content.find(start)
        while place >= 0:
            content[place + flags] |= 1
            place = content.find(start, place + 4)
    archive.write_bytes(content)
    with pytest.raises(ModelError, match=r"is encrypted\. Unpack it, or pack it without a password"):
        open_target(f"videos:{archive}", {})


def test_archives_of_another_compression(good, tmp_path) -> None:
    """A method that Python does not know, such as Deflate64 of Windows, fails the clip in words."""
    archive = tmp_path / "other.zip"
    clip_id = good.ids[0]
    with zipfile.ZipFile(archive, "w") as packed:
        packed.write(good.folder / "answer.json", "answer.json")
        packed.writestr(f"{clip_id}.mkv", b"x")
    content = bytearray(archive.read_bytes())
    place = content.rfind(b"PK\x01\x02")
    struct.pack_into("<H", content, place + 10, 9)
    archive.write_bytes(content)
    good.folder = archive
    assert found(good)["unusable"] == [f"{clip_id}.mkv is compressed in a way that is not read (method 9)."]


def test_an_answer_that_cannot_be_read(good, monkeypatch) -> None:
    def refuse(self, file):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(VideoSource, "open", refuse)
    with pytest.raises(ModelError, match=r"answer\.json cannot be read \(Permission denied\)"):
        good.open()
    assert len(adapter.sha256(f"videos:{good.folder}")) == 64, "its clips fail with that reason"


def test_links_are_not_followed(good, tmp_path) -> None:
    first, second = good.ids
    secret = tmp_path / "elsewhere.mkv"
    (good.folder / f"{first}.mkv").rename(secret)
    (good.folder / f"{first}.mkv").symlink_to(secret)
    (good.folder / f"{second}.mkv").unlink()
    (good.folder / second).symlink_to(tmp_path, target_is_directory=True)
    said = found(good)
    assert said["unusable"] == [f"{first}.mkv is a link, which is not followed: put the file itself there."]
    assert len(said["missing"]) == 1 and "link" in said["extra"][0]


@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.parametrize("top", ["", "answers/"])
def test_archives(good, kind, top, tmp_path) -> None:
    """Read where they are: nothing is unpacked to a place that a name in them could choose."""
    archive = tmp_path / f"answers.{kind}"
    names = sorted(path.name for path in good.folder.iterdir())
    clip_id = good.ids[0]
    folder = good.folder
    if kind == "zip":
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
            for name in names:
                packed.write(folder / name, top + name)
            packed.writestr("__MACOSX/x", "x")
    else:
        with tarfile.open(archive, "w") as packed:
            for name in names:
                packed.add(folder / name, top + name)
    truth = good.play(clip_id)
    good.folder = archive
    assert np.array_equal(good.play(clip_id), truth)
    assert set(found(good)) == {"note"}
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["answers", archive.name])


def test_hostile_archives(good, tmp_path) -> None:
    clip_id, second = good.ids
    archive = tmp_path / "hostile.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        packed.write(good.folder / "answer.json", "answer.json")
        packed.write(good.folder / f"{clip_id}.mkv", f"../../{clip_id}.mkv")
        packed.writestr(zipfile.ZipInfo(f"/tmp/{clip_id}.mkv"), b"x")
        link = zipfile.ZipInfo(f"{second}.mkv")
        link.external_attr = 0o120777 << 16
        packed.writestr(link, "/etc/passwd")
    good.folder = archive
    said = found(good)
    assert len(said["missing"]) == 1 and said["unusable"] == [f"{second}.mkv is no plain file."]
    assert ["a path out of the archive" in words for words in said["extra"]] == [True, True], said
    (tmp_path / "no.zip").write_bytes(b"PK\x03\x04 and then nothing")
    with pytest.raises(ModelError, match="Unpack it first"):
        VideoSource(tmp_path / "no.zip")


def test_a_member_that_is_larger_than_it_says(good, tmp_path) -> None:
    """The declared size bounds what is unpacked of a bomb."""
    clip_id = good.ids[0]
    archive = tmp_path / "bomb.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.write(good.folder / "answer.json", "answer.json")
        packed.writestr(f"{clip_id}.mkv", b"\0" * 10**6)
    content = archive.read_bytes()
    assert content.count(struct.pack("<I", 10**6)) == 2
    archive.write_bytes(content.replace(struct.pack("<I", 10**6), struct.pack("<I", 100)))
    good.folder = archive
    assert "cannot be read" in found(good)["unusable"][0]


def test_without_the_document_nothing_can_be_said(good, tmp_path) -> None:
    document = (good.folder / "answer.json").read_bytes()
    assert find_adapter(str(good.folder)) is adapter, "a folder with answer.json needs no scheme"
    (good.folder / "answer.json").unlink()
    with pytest.raises(ModelError, match=r"has no answer\.json.*\n.*--model-arg export="):
        good.open()
    (tmp_path / "elsewhere.json").write_bytes(document)
    assert np.array_equal(good.play(good.ids[0], export=str(tmp_path / "elsewhere.json")), good.truth(good.ids[0]))
    (good.folder / "answer.json").write_text("[]")
    with pytest.raises(UsageError, match="neither the"):
        good.open()


def test_the_folder_of_the_export_is_not_that_of_the_answers(good) -> None:
    cond = good.folder.parent
    (cond / "manifest.json").write_text(good.asked.model_dump_json())
    with pytest.raises(ModelError, match=r"Did you mean videos:.*answers"):
        adapter.check(f"videos:{cond}")
    with pytest.raises(ModelError, match="does not exist"):
        adapter.check(f"videos:{cond}/answer")


def test_names_of_any_bytes_can_be_printed_and_written(good) -> None:
    second = good.ids[1]
    (good.folder / f"{second}.mkv").unlink()
    pictures = good.folder / second
    pictures.mkdir()
    (good.folder / "a\x1b[31m\nb.mp4").write_bytes(b"x")
    with open(os.fsencode(pictures) + b"/\xe9.png", "wb") as file:  # noqa: PTH123 - bytes that are no text
        file.write(png(good.truth(second)[0]))
    said = found(good)
    [unusable] = said["unusable"]
    assert unusable.startswith(f"{second}/\N{REPLACEMENT CHARACTER}.png has no number in its name: Name them so that")
    assert said["extra"] == ["a\N{REPLACEMENT CHARACTER}[31m\N{REPLACEMENT CHARACTER}b.mp4 (named after no clip)"]
    assert all(text.isprintable() for texts in said.values() for text in texts)
    assert "\n".join(good.open().notes).encode()


def test_very_many_loose_pictures_are_listed_at_once() -> None:
    """A hint for each of 400 clips among 40,000 names would take minutes."""
    loose = tuple(
        SourceFile((f"collisions.head-on-v1.test.{i}_{k:03}.png",), 1) for i in range(400) for k in range(100)
    )
    source = SimpleNamespace(files=loose)
    start = time.process_time()
    listing = list_answers(source, [f"collisions.head-on-v1.test.{i}" for i in range(400)])
    assert time.process_time() - start < 5
    assert len(listing.extra) == len(loose) and not listing.similar_names
