"""The video containers that answers may come in: THE place to add one.

To add a container, add a line to DEMUXERS: the extension in lower case, and the name of FFmpeg's demuxer for it
(`python -c "import av; print(sorted(av.formats_available))"` lists the names). Listing, decoding and error messages
follow. Then add a case to `tests/models/test_videos.py`, and the extension to section 2 of `docs/your-videos.md`.
"""

from __future__ import annotations

# A file is opened with the demuxer of its name and no other: a playlist called .mp4 must not make the library open
# further files or addresses.
DEMUXERS = {
    ".mp4": "mov",
    ".m4v": "mov",
    ".webm": "matroska",
    ".mkv": "matroska",
    ".mov": "mov",
    ".gif": "gif",
    ".avi": "avi",
}
FIXED_CLOCKS = ("gif", "matroska")  # demuxers whose unit of time does not depend on the rate of the video
IMAGE_SUFFIX = ".png"  # of the frames in a folder, which `videos/decode.py` opens with the demuxer png_pipe
ACCEPTED = f"{', '.join(DEMUXERS)} or a folder of PNG"  # for messages


def container_suffix(name: str) -> str:
    """The extension of a video file as it is written in its name, or "" for other files."""
    return next((name[-len(suffix) :] for suffix in DEMUXERS if name.lower().endswith(suffix)), "")


def demuxer(name: str) -> str:
    """The demuxer for a video file of this name."""
    return DEMUXERS[container_suffix(name).lower()]
