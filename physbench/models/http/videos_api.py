"""A model behind a server with the videos API of OpenAI, `http://HOST:PORT/v1/videos`, as vLLM-Omni and others have it.

POST /v1/videos               a form: prompt, input_reference (PNG), size, seconds, num_frames, fps, seed -> {"id": ...}
GET /v1/videos/ID             {"status": "queued" | "in_progress" | "completed" | "failed", "error": ...}
GET /v1/videos/ID/content     the video, MP4
DELETE /v1/videos/ID          forgets it

Source: https://docs.vllm.ai/projects/vllm-omni, serving/videos_api; https://platform.openai.com/docs/api-reference/videos.
"""

from __future__ import annotations

import io
import json
import math
import re
import time
import uuid
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from http.client import HTTPException, HTTPResponse
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from physbench.clips.video import png, rgb_converter
from physbench.models.http.connection import (
    LONGEST_CALL,
    NO_ANSWER,
    LostConnectionError,
    NoServerError,
    ServerConnection,
    one_line,
    read_whole,
)
from physbench.models.http.model import as_levels, draw_seeds
from physbench.models.protocol import ModelCard, check_card
from physbench.models.videos.resample import make_resampler, scored_size
from physbench.support.arrays import Image
from physbench.support.errors import ModelError, PhysbenchError, nearest

if TYPE_CHECKING:
    import torch
    from torch import Tensor

OWN_ARGUMENTS = ("model", "size", "fps", "frames", "first")
OF_A_CLIP = ("prompt", "input_reference", "num_frames", "seconds", "seed", "width", "height")  # fields of the form
FIRST = ("context", "new")  # what the first frame of an answer shows
MOST_JSON = 1 << 20  # bytes
SHORTEST_POLL = 0.1  # s between questions, at first
DONE = (200, 201, 202, 204)  # status of what a server has done, or begun


def check_names(names: Sequence[str]) -> None:
    """Raise ModelError for arguments that are made for each clip, or that look like one of OWN_ARGUMENTS misspelt."""
    for name in names:
        if name in OF_A_CLIP:
            raise ModelError(f"--model-arg {name} cannot be given: it is made for each clip.")
        if name not in OWN_ARGUMENTS and (name == "wait" or get_close_matches(name, OWN_ARGUMENTS, 1, 0.8)):
            raise ModelError(f"--model-arg {name}: it is not taken here.{nearest(name, OWN_ARGUMENTS)}")


class VideosApiModel:
    """A model that continues an image, one job a clip; all jobs of a batch are sent before the first is waited for.

    `assumptions` are for readers of the run, `run_settings` for its manifest.
    """

    def __init__(self, connection: ServerConnection, model_args: Mapping[str, str]) -> None:
        """model_args: Those of OWN_ARGUMENTS; others become fields of the form."""
        self._connection = connection
        name = model_args.get("model", "")
        self._size = _size(model_args.get("size", "832x480"))
        fps = _number(model_args, "fps", 24.0)
        self._frames = int(_number(model_args, "frames", math.floor(4 * fps) + 1))
        first = model_args.get("first", FIRST[0])
        if first not in FIRST:
            raise ModelError(f"--model-arg first={first}: expected {' or '.join(FIRST)}.")
        self._skipped = int(first == FIRST[0])
        if self._frames <= self._skipped:
            raise ModelError(f"--model-arg frames={self._frames}: expected more than the first frame.")
        self._fields = {key: text for key, text in model_args.items() if key not in OWN_ARGUMENTS}
        if name:
            self._fields["model"] = name
        self.card = check_card(
            ModelCard(
                name=name or connection.address.host,
                image_size=scored_size(*self._size),
                fps=fps,
                context_frames=1,
                max_horizon=self._frames - self._skipped,
                uses_prompt=True,
                stochastic=True,
            )
        )
        height, width = self._size
        notes = [
            f"{connection.address.url} is asked for {self._frames} frames of {width}x{height} px at {fps:g} frames/s; "
            f"the first of them {'shows the image' if self._skipped else 'comes after the image'} (first={first})."
        ]
        self.assumptions = (*notes, *connection.warnings())
        self.run_settings = {**self._fields, "size": f"{width}x{height}", "frames": f"{self._frames}", "first": first}

    def rollout(
        self,
        context: Tensor,
        *,
        horizon: int,
        actions: Tensor | None,
        prompts: Sequence[str],
        generators: Sequence[torch.Generator],
    ) -> Tensor:
        """Continue B clips; see `FrameModel.rollout`. Raises ModelError where the server fails or answers otherwise."""
        import torch

        jobs: list[str] = []
        try:
            images, seeds = as_levels(context[:, -1]), draw_seeds(generators, 2**31 - 1)
            for image, prompt, seed in zip(images, prompts, seeds, strict=True):
                job = self._send(image, prompt, seed)
                if job in jobs:
                    raise ModelError(f"{self._connection.address.url} gave two jobs one id.")
                jobs.append(job)
            answers = [self._frames_of(self._finished(job), horizon) for job in jobs]
        finally:
            self._forget(jobs)
        return torch.from_numpy(np.stack(answers)).movedim(-1, 2).to(context.device).float().div_(255)

    def _forget(self, jobs: Sequence[str]) -> None:
        """Delete jobs, as far as the server lets it be done quickly: their videos are here, or not wanted."""
        for job in jobs:
            try:
                answer = self._connection.request("DELETE", f"/{job}", 10.0, success=DONE)
                self._read(answer, MOST_JSON, "the answer")
            except (NoServerError, LostConnectionError):
                self._connection.close()
                return
            except PhysbenchError:  # a server need not know it
                self._connection.close()

    def _ask(self, method: str, path: str, body: Sequence[bytes] = (), media_type: str = "") -> HTTPResponse:
        return self._connection.request(method, path, LONGEST_CALL, body, media_type, DONE)

    def _read(self, response: HTTPResponse, most: int, what: str) -> bytes:
        """All of an answer; raises where it is longer than `most` bytes, or breaks off."""
        url = self._connection.address.url
        try:
            content = read_whole(response, most)
        except TimeoutError:
            raise NoServerError(f"{NO_ANSWER}{url}: {what} did not arrive.") from None
        except (OSError, EOFError, HTTPException):
            self._connection.close()
            raise LostConnectionError(f"{NO_ANSWER}{url}: the connection was lost in {what}.") from None
        if len(content) > most:
            self._connection.close()
            raise ModelError(f"{url}: expected {what} of at most {most >> 20} MiB, got more.")
        return content

    def _job(self, response: HTTPResponse) -> dict[str, Any]:
        """The JSON object that describes a job."""
        try:
            document = json.loads(self._read(response, MOST_JSON, "the answer"))
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict):
            url = self._connection.address.url
            raise ModelError(f"{url} does not answer as a videos API does: expected a JSON object.")
        return document

    def _send(self, image: Image, prompt: str, seed: int) -> str:
        """Ask for a video; the id of its job."""
        height, width = self._size
        fields = {
            **self._fields,
            "prompt": prompt,
            "size": f"{width}x{height}",
            "width": f"{width}",
            "height": f"{height}",
            "fps": f"{self.card.fps:g}",
            "num_frames": f"{self._frames}",
            "seconds": f"{math.ceil(self._frames / self.card.fps)}",
            "seed": f"{seed}",
        }
        body, media_type = _form(fields, png(_enlarged(image, self._size)))
        job = self._job(self._ask("POST", "", body, media_type)).get("id")
        if not isinstance(job, str) or not re.fullmatch(r"\w[\w.-]{0,199}", job, re.ASCII):
            raise ModelError(f"{self._connection.address.url} accepted a job without an id.")
        return job

    def _finished(self, job: str) -> bytes:
        """The video of a job, when it is there."""
        wait, url = SHORTEST_POLL, self._connection.address.url
        while True:
            document = self._job(self._ask("GET", f"/{job}"))
            status = document.get("status")
            if status == "completed":
                return self._read(self._ask("GET", f"/{job}/content"), 1 << 29, "the video")  # bytes
            if status not in ("queued", "in_progress", "processing"):
                error = document.get("error")
                message = error.get("message") if isinstance(error, dict) else error
                raise ModelError(f"{url} made no video ({self._connection.say(message or status)}).")
            time.sleep(wait)
            wait = min(1.5 * wait, 5.0)  # s between questions at most

    def _frames_of(self, video: bytes, horizon: int) -> Image:
        """(horizon, h, w, 3) frames after the image, in the size of the card."""
        frames, fps = _decoded(video, horizon + self._skipped, self._size)
        url, size, got = self._connection.address.url, self._size, frames[-1].shape[:2]
        if got != size:
            raise ModelError(
                f"{url} answered with {got[1]}x{got[0]} px; expected {size[1]}x{size[0]}. Try --model-arg "
                f"size={got[1]}x{got[0]}."
            )
        if fps and abs(fps / self.card.fps - 1) > 0.01:
            raise ModelError(
                f"{url} answered at {fps:g} frames/s; expected {self.card.fps:g}. Try --model-arg fps={fps:g}."
            )
        if len(frames) < horizon + self._skipped:
            raise ModelError(
                f"{url} answered with {len(frames)} frames; expected at least {horizon + self._skipped}. Try "
                f"--model-arg frames={len(frames)}."
            )
        small = make_resampler(size, size, self.card.image_size, None)
        return np.stack([small(frame) for frame in frames[self._skipped : self._skipped + horizon]])


def _size(text: str) -> tuple[int, int]:
    """ "832x480" -> (480, 832): height and width in px."""
    match = re.fullmatch(r"([0-9]{2,4})x([0-9]{2,4})", text)
    if match is None:
        raise ModelError(f"--model-arg size={one_line(text)}: expected WIDTHxHEIGHT, such as 832x480.")
    return int(match[2]), int(match[1])


def _number(model_args: Mapping[str, str], name: str, usual: float) -> float:
    text = model_args.get(name, f"{usual:g}")
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < 1e5 or (name == "frames" and value != int(value)):
        expected = "a whole number" if name == "frames" else "a number"
        raise ModelError(f"--model-arg {name}={one_line(text)}: expected {expected} above 0.")
    return value


def _enlarged(image: Image, size: tuple[int, int]) -> Image:
    """An image in the size of the server, bicubic."""
    if image.shape[:2] == size:
        return image
    from torch import from_numpy
    from torch.nn.functional import interpolate

    planes = from_numpy(image).permute(2, 0, 1)[None].float()
    larger = interpolate(planes, size=size, mode="bicubic", antialias=True)[0].clamp(0, 255).round().byte()
    levels: Image = larger.permute(1, 2, 0).contiguous().numpy()
    return levels


def _form(fields: Mapping[str, str], image: bytes) -> tuple[list[bytes], str]:
    """A multipart form (RFC 7578) with the image as `input_reference`, and its media type."""
    boundary = uuid.uuid4().hex
    parts = []
    for name, text in fields.items():
        parts.append(f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n'.encode())
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="input_reference"; filename="image.png"\r\n'
    parts += [f"{head}Content-Type: image/png\r\n\r\n".encode(), image, f"\r\n--{boundary}--\r\n".encode()]
    return parts, f"multipart/form-data; boundary={boundary}"


def _decoded(video: bytes, most: int, size: tuple[int, int]) -> tuple[list[Image], float]:
    """The first frames of an MP4, and its rate, 0 where it does not say one; up to the first of another size.

    Raises ModelError where it is none.
    """
    import av

    try:
        with av.open(io.BytesIO(video), "r", format="mp4", options={"max_streams": "16"}) as container:
            if not container.streams.video:
                raise ModelError("The server's file has no video in it.")
            stream = container.streams.video[0]
            stream.codec_context.options = {"max_pixels": f"{1 << 24}"}  # of a frame
            convert = rgb_converter()
            frames: list[Image] = []
            for frame in islice(container.decode(stream), most):
                frames.append(convert(frame))
                if frames[-1].shape[:2] != size:
                    break
            rate = float(stream.average_rate or 0)
    except (av.error.FFmpegError, OSError, ValueError, IndexError) as error:
        words = getattr(error, "strerror", None) or str(error)
        raise ModelError(f"The server's video is damaged or none ({one_line(words)}).") from None
    if not frames:
        raise ModelError("The server's video has no frames.")
    return frames, rate
