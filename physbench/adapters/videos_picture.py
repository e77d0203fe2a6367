"""The picture that a player shows of a decoded frame: cropped, turned, over black where it is transparent.

`unfollowed` names what a file says of its picture that this reader does not follow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from physbench.clips.rgb_frames import Frame, rgb_converter

Crop = tuple[int, int, int, int]  # px left out at top, bottom, left and right
Turn = tuple[int, int, int, int]  # (a, b, c, d): what lies at (x, y) is shown at (a x + c y, b x + d y)
NOT_TURNED: Turn = (1, 0, 0, 1)
BRIGHT_TRANSFERS = {16: "PQ", 18: "HLG"}  # numbers of ITU-T H.273
WIDE_PRIMARIES = {9: "BT.2020", 11: "DCI-P3", 12: "Display P3"}
UNFOLLOWED_SIDE_DATA = {"STEREO3D": "two pictures for two eyes", "SPHERICAL": "a picture for a sphere"}


@dataclass(frozen=True)
class View:
    """How a player shows the frames of a video."""

    crop: Crop = (0, 0, 0, 0)
    turn: Turn = NOT_TURNED
    pixel_aspect: float = 1.0  # width by height of a stored pixel

    def __call__(self, frame: Frame) -> Frame:
        """Frame (H, W, 3) as it is stored -> as it is shown, with the pixels that it has."""
        top, bottom, left, right = self.crop
        a, b, c, d = self.turn
        shown = frame[top : frame.shape[0] - bottom, left : frame.shape[1] - right]
        if b or c:
            shown = shown.transpose(1, 0, 2)
        shown = shown[:: -1 if b + d < 0 else 1, :: -1 if a + c < 0 else 1]
        return np.ascontiguousarray(shown)

    def size(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) px of what is shown of frames of a size."""
        top, bottom, left, right = self.crop
        inner = height - top - bottom, width - left - right
        return (inner[1], inner[0]) if self.turn[1] else inner

    @property
    def shown_aspect(self) -> float:
        """Width by height of a pixel of what is shown."""
        return 1 / self.pixel_aspect if self.turn[1] else self.pixel_aspect


AS_STORED = View()


def nearest_turn(matrix: Sequence[float]) -> tuple[Turn, float]:
    """The turn by quarters, or mirroring, nearest to a display matrix (a, b, c, d), and how far that is, in [0, 1]."""
    given = np.asarray(matrix, dtype=np.float64)
    length = float(np.linalg.norm(given))
    if not length:
        return NOT_TURNED, 0.0
    given = given / length * np.sqrt(2)
    keep = abs(given[0]) + abs(given[3]) >= abs(given[1]) + abs(given[2])
    places = (0, 3) if keep else (1, 2)
    turn = [0, 0, 0, 0]
    for place in places:
        turn[place] = 1 if given[place] >= 0 else -1
    found = (turn[0], turn[1], turn[2], turn[3])
    return found, float(np.abs(given - turn).max())


EXIF_TURNS: tuple[Turn, ...] = (  # of the orientations 1 to 8
    NOT_TURNED,
    (-1, 0, 0, 1),
    (-1, 0, 0, -1),
    (1, 0, 0, -1),
    (0, 1, 1, 0),
    (0, 1, -1, 0),
    (0, -1, -1, 0),
    (0, -1, 1, 0),
)


def side_data(frame: Any) -> dict[str, bytes]:
    """Side data of a frame by the name of its kind; empty where it has some that PyAV does not know."""
    try:
        return {item.type.name: bytes(item) for item in frame.side_data}
    except ValueError:
        return {}


def turn_of(frame: Any, beside: dict[str, bytes]) -> tuple[Turn, str]:
    """How a frame is turned for display, and what of that is not followed, or ""."""
    if "DISPLAYMATRIX" in beside:
        numbers = np.frombuffer(beside["DISPLAYMATRIX"], dtype=np.int32) / 65536
        a, b, c, d = (float(numbers[place]) for place in (0, 1, 3, 4))
    else:
        angle = np.deg2rad(-frame.rotation)  # counter-clockwise
        a, b, c, d = np.cos(angle), np.sin(angle), -np.sin(angle), np.cos(angle)
    turn, away = nearest_turn((a, b, c, d))
    return turn, "a turn by other than quarters" if away > 0.02 else ""


def unfollowed(video: Any, frame: Any, beside: dict[str, bytes]) -> list[str]:
    """What a file says of its picture that this reader does not follow."""
    found = [words for kind, words in UNFOLLOWED_SIDE_DATA.items() if kind in beside]
    transfer, primaries = int(video.codec_context.color_trc), int(video.codec_context.color_primaries)
    if transfer in BRIGHT_TRANSFERS:
        found.append(f"high dynamic range ({BRIGHT_TRANSFERS[transfer]})")
    elif primaries in WIDE_PRIMARIES:
        found.append(f"a wide range of colours ({WIDE_PRIMARIES[primaries]})")
    if frame.interlaced_frame:
        found.append("interlacing")
    if video.metadata.get("alpha_mode") == "1" and not has_alpha(frame):
        found.append("transparency")
    return found


def has_alpha(frame: Any) -> bool:
    return frame.format.has_palette or any(part.is_alpha for part in frame.format.components)


class PictureConverter:
    """Turns the decoded frames of one video into what is shown of them, (H, W, 3)."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._to_rgb = rgb_converter()
        self._to_rgba = rgb_converter("rgba")

    def __call__(self, frame: Any) -> Frame:
        rgb = self._to_rgb(frame)
        if has_alpha(frame):
            alpha: NDArray[np.uint8] = self._to_rgba(frame)[..., 3:]
            if alpha.min() < 255:  # as video players do; image viewers and browsers have other backgrounds
                rgb = ((rgb.astype(np.uint16) * alpha + 127) // 255).astype(np.uint8)
        return rgb if self._view == AS_STORED else self._view(rgb)
