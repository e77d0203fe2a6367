"""The protocols of models, through which alone the harness knows them: frames, states, surprise, cards, checks."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, Protocol, TypeVar, get_args, runtime_checkable

from physbench.support.errors import ModelError, UsageError
from physbench.world.scene import FAR, HISTORY, PLAIN, VIEWS, RenderSpec, wrong_rate
from physbench.world.styles.look_options import look_options

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import Tensor

    from physbench.clips.clip import Clip
    from physbench.models.load_model import Handed


@dataclass(frozen=True)
class CardBounds:
    """The most that a card may say."""

    name: int = 200  # characters
    context_frames: int = 1000  # also where the first one is repeated
    bodies: int = 1000  # rows that a model may want to be given
    unit: int = 80  # characters
    sight: int = 1_000_000  # s


CARD_BOUNDS = CardBounds()


Track = Literal["zero-shot", "trained", "privileged"]


@dataclass(frozen=True)
class ModelCard:
    """Properties of a model that the harness must know before it makes clips for it.

    Attributes:
        name: For tables and folders.
        image_size: (height, width) in px, 32 to 2048.
        fps: Frames a second, 4 to 60; divides 1200.
        context_frames: Number of frames that the model sees, at most 2 s of history.
        max_horizon: Frames that one call can predict; None: any number. A longer clip is continued on the model's own
            last frames.
        uses_actions: Whether pushes, and commands of driven bodies, are passed as actions.
        uses_camera: Whether the camera's pose of each frame is, after those where it uses both.
        uses_prompt: Whether prompts are passed; else they are empty.
        stochastic: Whether the model draws from its generators.
        repeat_first: Whether the context may reach further back than the history, with its first frame repeated where
            what came before cannot be told.
        track: "trained" if the model was trained on the `train` split, "privileged" if it is given the clips
            themselves, else "zero-shot".
        training_clips: Number of clips of the `train` split that it was trained on, with which its distance from
            `baseline:memory` is read; None: not stated.
        look: How the clips are drawn that it is asked about: "plain", or "natural" with its options. `--look` has the
            last word.
        view: From where they are seen: "far", "near" or "moving". `--view` has the last word.
    """

    name: str
    image_size: tuple[int, int]
    fps: int | float
    context_frames: int
    max_horizon: int | None = None
    uses_actions: bool = False
    uses_prompt: bool = False
    stochastic: bool = False
    repeat_first: bool = False
    track: Track = "zero-shot"
    training_clips: int | None = None
    look: str = PLAIN
    view: str = FAR
    uses_camera: bool = False

    methods: ClassVar[tuple[str, ...]] = ("rollout", "rollout_clips", "play")  # of which its model has one
    moment: ClassVar[str] = "frame"  # the noun for one moment of context and answer
    sees_pictures: ClassVar[bool] = True  # else it is given states
    continues: ClassVar[bool] = True  # else it is shown whole films, on the suite `expectation` alone

    @property
    def answers(self) -> str:
        """The kind of answer, as documents name it: "frames", "states" or "surprise"."""
        return "frames"

    @property
    def spec(self) -> RenderSpec:
        """Size and rate of the clips for this model; a rate of 15 equals one of 15.0."""
        return RenderSpec(int(self.image_size[0]), int(self.image_size[1]), float(self.fps), self.look, self.view)

    @property
    def history_frames(self) -> int:
        """Number of frames in the history at the card's rate."""
        return int(HISTORY * self.fps + 1e-9) + 1

    @property
    def scored_context(self) -> int:
        """Context frames that are tracked and scored: without what lies before the history."""
        return min(self.context_frames, self.history_frames)

    @property
    def sight(self) -> float:
        """Time (s) that the model sees back from the moment of a prediction."""
        return self.scored_context / self.fps

    @property
    def words(self) -> str:
        """Size, rate and context in words: "64x64 px, 15 frames/s, 8 context frames"."""
        height, width = self.image_size
        return f"{width}x{height} px, {self._rate}"

    def shown(self, spec: str) -> str:
        """One moment as the model is shown it, in words; `spec` is the size and rate of the clips of a run."""
        return spec

    @property
    def _rate(self) -> str:
        context = f"{self.context_frames} context {self.moment}{'' if self.context_frames == 1 else 's'}"
        return f"{self.fps:g} {self.moment}s/s, {context}"

    def check_kind(self, where: str) -> None:
        """Raise ModelError where a field that only this kind of card has cannot be used."""


def check_card(card: ModelCard) -> ModelCard:
    """Check the values of a card. Returns the same card.

    Raises ModelError: A value is out of bounds. The message offers one that works.
    """
    if not isinstance(card.name, str) or not card.name.strip() or not card.name.isprintable():
        raise ModelError(f"Model card: expected a name of printable characters, got {card.name!r:.80}.")
    if len(card.name) > CARD_BOUNDS.name:
        raise ModelError(f"Model card: expected a name of at most {CARD_BOUNDS.name} characters, got {len(card.name)}.")
    where = f"Model card of {card.name}"
    if card.context_frames > CARD_BOUNDS.context_frames:
        raise ModelError(
            f"{where}: expected at most {CARD_BOUNDS.context_frames} context frames, got {card.context_frames}."
        )
    height, width = card.image_size
    if min(height, width) < 32 or max(height, width) > 2048:
        raise ModelError(f"{where}: expected image_size between 32 and 2048 px, got {height} x {width}.")
    try:
        fps = float(card.fps)
    except OverflowError:  # a whole number of hundreds of digits
        fps = math.inf
    if wrong := wrong_rate(fps):
        raise ModelError(f"{where}, fps: {wrong}")
    if card.context_frames < 1:
        raise ModelError(f"{where}: expected at least 1 context frame, got {card.context_frames}.")
    most = card.history_frames
    if card.context_frames > most and not card.repeat_first:
        raise ModelError(
            f"{where}: {card.context_frames} context frames at {card.fps:g} frames/s need more than the {HISTORY:g} s "
            f"of history; the largest that works is {most} (or set repeat_first=True)."
        )
    if card.max_horizon is not None and card.max_horizon < 1:
        raise ModelError(f"{where}: expected max_horizon of at least 1 frame or None, got {card.max_horizon}.")
    try:
        look_options(str(card.look))
    except UsageError as error:
        raise ModelError(f"{where}, look: {error}") from None
    if card.view not in VIEWS:
        raise ModelError(f"{where}: expected view to be one of {', '.join(VIEWS)}, got {card.view!r}.")
    if card.training_clips is not None and card.training_clips < 1:
        raise ModelError(f"{where}: expected training_clips of at least 1 or None, got {card.training_clips}.")
    if card.training_clips is not None and card.track == "zero-shot":
        raise ModelError(
            f"{where}: a model that was trained on {card.training_clips} clips of the train split is not zero-shot: "
            "set track='trained'."
        )
    return card


@runtime_checkable
class FrameModel(Protocol):
    """A model that answers with frames."""

    card: ModelCard

    def rollout(
        self,
        context: Tensor,
        *,
        horizon: int,
        actions: Tensor | None,
        prompts: Sequence[str],
        generators: Sequence[torch.Generator],
    ) -> Tensor | Iterator[Tensor]:
        """Continue B clips.

        Args:
            context: Frames (B, C, 3, H, W) in [0, 1] on the model's device. The last one is at the hand-over.
            horizon: Number of frames to predict.
            actions: (B, C + horizon, 6): hue of the pushed body as RGB, impulse in N s (world axes), zeros for none;
                at most one push a clip in 0.25 s, in the row of the first frame that shows its effect. Of a driven
                body each row has the velocity in m/s that it is told, in place of an impulse. None where the
                card does not use actions or no clip has any; zeros where a clip is shown without its pushes. Where the
                card uses the camera (B, C + horizon, 6) of its pose in that frame, `physbench.CAMERA_POSE`, zeros of
                one that stands still; where it uses both (B, C + horizon, 12), the pose last.
            prompts: B descriptions of scenes; empty where the card does not use prompts.
            generators: B generators, one per clip and sample, seeded from the clip. Randomness that is drawn from them
                alone does not depend on the batch.

        Returns frames (B, horizon, 3, H, W) in [0, 1], whole or as an iterator over chunks along time.
        """
        ...


@runtime_checkable
class StateModel(Protocol):
    """A model that answers with the states of bodies: orbit and particle models, graph networks."""

    card: StateCard

    def rollout_states(
        self,
        states: Tensor,
        *,
        bodies: Tensor,
        statics: Tensor,
        mask: Tensor,
        gravity: Tensor,
        horizon: int,
        actions: Tensor | None,
        prompts: Sequence[str],
        generators: Sequence[torch.Generator],
    ) -> Tensor:
        """Continue B clips.

        N rows are the coloured bodies, S columns those of the card, M bodies stand still and can be touched.

        Args:
            states: (B, C, N, S), or (B, C, N * S) where the card's layout is flat, on the model's device. The last one
                is at the hand-over. Rows that a clip does not have are zeros.
            bodies: (B, N, len(BODY_COLUMNS)), SI units; NaN where the value is one that a context must reveal.
            statics: (B, M, len(STATIC_COLUMNS)), SI units, in the world; shape -1 where a clip has fewer.
            mask: (B, N) bool: which rows a clip has.
            gravity: (B, 3) m/s2, in the world.
            horizon: Number of states to predict.
            actions: (B, C + horizon, N, 3) impulses in N s on each body, world axes, at most one a clip in 0.25 s, in
                the row of the first state that shows its effect. Of a driven body the velocity in m/s that it is told,
                in each row. None where the card does not use actions or no clip has any.
            prompts: B descriptions of scenes; empty where the card does not use prompts.
            generators: B generators, one per clip and sample, seeded from the clip.

        Returns like `states`, (B, horizon, N, S) or flat; or positions alone, as many columns as a position has.
        """
        ...


@runtime_checkable
class SurpriseModel(Protocol):
    """A model that is shown whole films and answers with its surprise over time: predictors of latents, likelihoods.

    It is asked on the suite `expectation` alone.
    """

    card: SurpriseCard

    def surprise(
        self,
        video: Tensor,
        *,
        context: int,
        actions: Tensor | None,
        prompts: Sequence[str],
        generators: Sequence[torch.Generator],
    ) -> Tensor:
        """Surprise of the model at each frame of B films.

        Args:
            video: Frames (B, T, 3, H, W) in [0, 1] on the model's device.
            context: Number of frames at the start (that of the card) whose surprise is not read.
            actions: None: nothing is pushed in these films.
            prompts: B descriptions of scenes; empty where the card does not use prompts.
            generators: B generators, one per film and sample, the same for both films of a pair.

        Returns:
            Surprise (B, T), higher is more surprised, in the unit of the card. That of a frame may depend on this frame
            and on earlier ones, never on later ones: a model whose surprise differs before two films do is called out.
        """
        ...


@runtime_checkable
class PrivilegedModel(Protocol):
    """A model that is given the clips themselves: oracle, physicist, saboteurs. Its card and every table say so.

    One that does not come with physbench is refused without --privileged.
    """

    card: ModelCard

    def rollout_clips(
        self, clips: Sequence[Clip], *, horizon: int, generators: Sequence[torch.Generator]
    ) -> Tensor | Iterator[Tensor]:
        """Continue B clips.

        Args:
            clips: B clips of one horizon, of one task or of several.
            horizon: Number of frames to predict.
            generators: B generators, one per clip and sample, seeded from the clip.

        Returns:
            Frames (B, horizon, 3, H, W) in [0, 1], whole or as an iterator over chunks along time; with a StateCard
            states (B, horizon, N, 13) in SI units.
        """
        ...


@runtime_checkable
class RecordedModel(Protocol):
    """A model whose answers exist already, as videos. `notes` are for the reader of a run; playing may add some.

    Only `videos:DIR` makes one: it is told which clip it plays.
    """

    card: ModelCard
    notes: list[str]

    def play(self, item: tuple[str, int], *, context: NDArray[np.uint8], horizon: int) -> Iterator[NDArray[np.uint8]]:
        """Play one answer, frame by frame.

        Args:
            item: Clip id and number of the sample.
            context: The frames that the model was shown (C, H, W, 3).
            horizon: Number of frames wanted.

        Yields:
            Frames (H, W, 3) from the hand-over on; fewer than `horizon` where the video ends early.

        Raises ModelError: there is no video, or it cannot be used.
        """
        ...


@runtime_checkable
class Encoder(Protocol):
    """A model of any kind, or a class with a card and this alone, that shows its latents: for `physbench probe`."""

    card: ModelCard

    def encode(self, frames: Tensor) -> Tensor:
        """Latents of B films.

        frames: (B, T, H, W, 3) uint8 of the card's size and rate, on the CPU. T differs between calls.

        Returns:
            (B, T', D) or (B, T', channels, height, width), on any device: T' moments, evenly apart, the last of them at
            the last frame. That of a moment should depend on no later frame.
        """
        ...


@runtime_checkable
class ConfiguredModel(Protocol):
    """A model of any kind whose adapter says what decided its frames: steps, sizes, libraries."""

    run_settings: dict[str, str]  # by name, for the manifest and the report


@runtime_checkable
class AssumingModel(Protocol):
    """A model loaded from a file that does not say all that its frames depend on."""

    assumptions: tuple[str, ...]  # sentences for the reader of a run


Model = FrameModel | StateModel | SurpriseModel | PrivilegedModel | RecordedModel


# The card of a model that answers with states, and the named columns of what it is given.

STATE_COLUMNS = ("x", "y", "z", "qx", "qy", "qz", "qw", "vx", "vy", "vz", "wx", "wy", "wz")  # m, -, m/s, rad/s
PLACE, SPEED = slice(0, 3), slice(7, 10)  # of STATE_COLUMNS
SHAPE_NUMBERS = ("sphere", "box", "cylinder", "plane")  # the number of a shape is its place here
SIZES = ("size_1", "size_2", "size_3")  # m: radius; half extents; radius, length and inner radius
BODY_COLUMNS = ("shape", *SIZES, "mass", "friction", "restitution", "pull", "release", "moves")
STATIC_COLUMNS = ("shape", *SIZES, "x", "y", "z", "qx", "qy", "qz", "qw", "friction", "restitution")
# Where a clip is rendered to see which objects a camera would show, and at what distance tracking noise would matter.
VIEW = (128, 128)  # px

Columns = Literal["all", "positions+velocities", "positions"]
Space = Literal["world", "plane"]
Units = Literal["m", "px"]
Layout = Literal["objects", "flat"]


@dataclass(frozen=True)
class StateCard(ModelCard):
    """Properties of a model that answers with states. It has no image size.

    Attributes:
        columns: Content of a row: "all" 13 columns (STATE_COLUMNS), "positions+velocities", or "positions".
        space: "world": three axes; "plane": the two of the plane of motion, x to the right and y up.
        units: "m": m and m/s; "px": px and px/s in an image, x to the right and y down, from its top left corner.
        window_px: Side of that image, which shows 5.12 m.
        layout: "objects": (B, C, N, S); "flat": (B, C, N * S).
        bodies: Number of rows N, padded with zeros; None: as many as the largest clip of the batch needs.
        image_size: Of the pictures of ground truth and of the report. Not a choice of the model.
    """

    image_size: tuple[int, int] = field(default=VIEW, init=False)
    columns: Columns = "all"
    space: Space = "world"
    units: Units = "m"
    window_px: float = 128.0
    layout: Layout = "objects"
    bodies: int | None = None
    answers: Literal["states"] = field(default="states", init=False)

    methods = ("rollout_states", "rollout_clips")
    moment = "state"
    sees_pictures = False

    @property
    def axes(self) -> int:
        """Coordinates of a position: 3, or 2 in the plane of motion."""
        return 3 if self.space == "world" else 2

    @property
    def scored_context(self) -> int:
        """Context that counts as seen: a given velocity counts as much as the last 0.5 s of places."""
        seen = super().scored_context
        return seen if self.columns == "positions" else max(seen, int(0.5 * self.fps + 1e-9) + 1)

    @property
    def width(self) -> int:
        """Columns S of a row."""
        return {"all": len(STATE_COLUMNS), "positions+velocities": 2 * self.axes, "positions": self.axes}[self.columns]

    @property
    def sight(self) -> float:
        """Without an end: nothing is hidden from it."""
        return math.inf

    @property
    def words(self) -> str:
        columns = f"{self.columns} columns in {self.units}".replace("s columns", "s")
        return f"{columns}{', flat' if self.layout == 'flat' else ''}, {self._rate}"

    def shown(self, spec: str) -> str:
        return f"{self.columns} in {self.units}, {self.fps:g}/s"

    def check_kind(self, where: str) -> None:
        if self.uses_camera:
            raise ModelError(f"{where}: states have no camera: leave uses_camera out.")
        for name, known in (("columns", Columns), ("space", Space), ("units", Units), ("layout", Layout)):
            if getattr(self, name) not in get_args(known):
                raise ModelError(
                    f"{where}: expected {name} to be one of {', '.join(get_args(known))}, got {getattr(self, name)!r}."
                )
        if self.columns == "all" and self.space == "plane":
            raise ModelError(f"{where}: all columns are those of the world: set columns='positions+velocities'.")
        if self.units == "px" and self.space == "world":
            raise ModelError(f"{where}: units='px' are those of the plane of motion: set space='plane'.")
        if type(self.window_px) not in (int, float) or not 0 < self.window_px < 1e6:
            raise ModelError(f"{where}: expected window_px above 0 and below a million, got {self.window_px!r}.")
        if self.bodies is not None and (type(self.bodies) is not int or not 1 <= self.bodies <= CARD_BOUNDS.bodies):
            raise ModelError(
                f"{where}: expected bodies to be a whole number from 1 to {CARD_BOUNDS.bodies} or None, "
                f"got {self.bodies!r}."
            )


# The card of a model that is shown whole films and answers with its surprise.


@dataclass(frozen=True)
class SurpriseCard(ModelCard):
    """Properties of a model that answers with surprise.

    Attributes:
        unit: Unit of its surprise, for the report: "L1 in latent space", "nats a frame".
        sees: Reach of the surprise at a frame into the past, s; None: to the beginning of the film.
        ahead: Reach into the future, s: above 0 for networks that see all frames of a call at once. Whole films
            can be compared then, and no moments of them.
    """

    unit: str = "a number of the model's own"
    sees: float | None = None
    ahead: float = 0.0
    answers: Literal["surprise"] = field(default="surprise", init=False)

    methods = ("surprise",)
    continues = False

    @property
    def sight(self) -> float:
        return math.inf if self.sees is None else self.sees

    def check_kind(self, where: str) -> None:
        longest = f"{CARD_BOUNDS.sight:,} s"
        if self.sees is not None and not (type(self.sees) in (int, float) and 0 < self.sees <= CARD_BOUNDS.sight):
            raise ModelError(
                f"{where}: expected sees to be seconds above 0, at most {longest}, or None for all of a film, got "
                f"{self.sees!r:.100}."
            )
        if not (type(self.ahead) in (int, float) and 0 <= self.ahead <= CARD_BOUNDS.sight):
            raise ModelError(
                f"{where}: expected ahead to be seconds, 0 or more, at most {longest}, got {self.ahead!r:.100}."
            )
        if not (isinstance(self.unit, str) and 0 < len(self.unit) <= CARD_BOUNDS.unit and self.unit.isprintable()):
            raise ModelError(
                f"{where}: expected unit to be a text of 1 to {CARD_BOUNDS.unit} characters, got {self.unit!a:.100}."
            )


CARDS: Mapping[str, type[ModelCard]] = {"frames": ModelCard, "states": StateCard, "surprise": SurpriseCard}


def card_fields(document: Mapping[str, Any]) -> tuple[type[ModelCard], dict[str, Any]]:
    """The kind of a card in a document, and the values that it is made from. Raises KeyError where there is none."""
    kind = CARDS[str(document.get("answers", "frames"))]
    values = dict(document)
    for each in fields(kind):
        if not each.init:  # not a choice of the card, and written all the same
            values.pop(each.name, None)
    values.pop("answers", None)
    if isinstance(values.get("image_size"), list):
        values["image_size"] = tuple(values["image_size"])
    return kind, values


def card_document(card: ModelCard) -> dict[str, Any]:
    """A card for manifest.json and result.json; what is usual in look, view and camera is not named."""
    usual = (("look", PLAIN), ("view", FAR), ("uses_camera", False))
    document = {**asdict(card), "image_size": list(card.image_size)}
    return {name: value for name, value in document.items() if (name, value) not in usual}


def stated_fields(card: ModelCard) -> dict[str, Any]:
    """A card for the file of a model; a number of training clips that nobody knows is left out."""
    return {name: value for name, value in asdict(card).items() if (name, value) != ("training_clips", None)}


def card_from(document: Mapping[str, Any]) -> ModelCard:
    """The card of `card_document`, unchecked."""
    kind, values = card_fields(document)
    return kind(**values)


State = TypeVar("State")
ACTION_VALUES = 6  # of one row of actions


class SteppedModel(Generic[State]):
    """Base class for models that carry a state from frame to frame; it makes `rollout` of `init` and `step`.

    A subclass has a `card` and two methods. What a method does not name among its parameters is not passed.

    - `init(context[, context_actions]) -> state`: context (B, C, 3, H, W) in [0, 1], actions of its frames (B, C, 6).
    - `step(state[, action][, noise]) -> (state, frame)`: the action in the row of the frame that is predicted (B, 6),
      zeros for none; standard normal numbers (B, noise_size) from the generators; the frame (B, 3, H, W) in [0, 1].

    `physbench export` writes such a model as a graph if its state is a tensor or a tuple of tensors (B, ...).

    Attributes:
        noise_size: How many random numbers a step takes for each clip.
        action_values: How many numbers an action has: 6, 12 where the card uses pushes and the camera, or as many as a
            file of `--actions` gives.
    """

    card: ModelCard
    noise_size: int = 0
    action_values: int = ACTION_VALUES
    init: Callable[..., State]
    step: Callable[..., tuple[State, Tensor]]

    def optional_inputs(self) -> frozenset[str]:
        """Inputs among `context_actions`, `action` and `noise` that the two functions take."""
        return optional_inputs(self)

    def rollout(
        self,
        context: Tensor,
        *,
        horizon: int,
        actions: Tensor | None,
        prompts: Sequence[str],
        generators: Sequence[torch.Generator],
    ) -> Iterator[Tensor]:
        """Frames (B, 1, 3, H, W), one after the other. The arguments are those of FrameModel.rollout."""
        batch, seen = context.shape[:2]
        taken = self.optional_inputs()
        if actions is None:
            actions = context.new_zeros(batch, seen + horizon, self.action_values)
        actions = checked_actions(actions, self.card, self.action_values)
        state = self.init(context, **({"context_actions": actions[:, :seen]} if "context_actions" in taken else {}))
        for index in range(seen, seen + horizon):
            given: dict[str, Any] = {"action": actions[:, index]} if "action" in taken else {}
            if "noise" in taken:
                given["noise"] = draw_noise(generators, self.noise_size, context)
            state, frame = self.step(state, **given)
            yield frame[:, None]


def optional_inputs(model: Any) -> frozenset[str]:
    """Inputs among `context_actions`, `action` and `noise` that `init` and `step` of an object take, by name."""
    of_init = set(inspect.signature(model.init).parameters) & {"context_actions"}
    of_step = set(inspect.signature(model.step).parameters) & {"action", "noise"}
    return frozenset(of_init | of_step)


def checked_actions(actions: Tensor | None, card: ModelCard, width: int) -> Tensor:
    """Actions (B, C + T, width) that a network is given. Raises ModelError where they are none of its space."""
    if actions is None or actions.shape[-1] != width:
        given = "none" if actions is None else f"{actions.shape[-1]}"
        raise ModelError(
            f"{card.name} takes actions of {width} numbers, and is given {given}: --actions MAP.py puts those of the "
            "clips into its own."
        )
    return actions


def draw_noise(generators: Sequence[torch.Generator], count: int, like: Tensor) -> Tensor:
    """Standard normal numbers (B, count), each row from the generator of its clip."""
    import torch

    rows = [torch.randn(count, generator=generator, device=generator.device) for generator in generators]
    return torch.stack(rows).to(like)


ANSWER_BYTES = 1 << 24  # of a part of an answer, all clips as float32: many of 256 px come in parts of fewer frames


def answer_parts(card: ModelCard, clips: int, horizon: int) -> Iterator[slice]:
    """Slices of predicted frames, from the first to the last, of at most 16 frames: the chunks to yield."""
    height, width = card.image_size
    length = min(16, max(1, ANSWER_BYTES // (clips * height * width * 3 * 4)))
    return (slice(start, min(start + length, horizon)) for start in range(0, horizon, length))


METHODS: dict[str, tuple[str, ...]] = {  # arguments: the first by position, the others by name
    "rollout": ("context", "horizon", "actions", "prompts", "generators"),
    "rollout_states": (
        "states",
        "bodies",
        "statics",
        "mask",
        "gravity",
        "horizon",
        "actions",
        "prompts",
        "generators",
    ),
    "surprise": ("video", "context", "actions", "prompts", "generators"),
    "rollout_clips": ("clips", "horizon", "generators"),
    "play": ("item", "context", "horizon"),
}
# What a method is handed, and what to do where that is not allowed.
NEEDS: dict[str, tuple[Handed, str]] = {
    "rollout_clips": (
        "clip",
        "is handed whole clips, with the future that is asked for. Give the model a `rollout`, which sees the context "
        "alone, or say --privileged: its scores then count for no ranking",
    ),
    "play": (
        "id",
        "is told which clip it plays, which only videos:DIR is. Give the model a `rollout`, or hand in its videos",
    ),
}


def check_contract(model: Any, target: str, handed: Handed = "context") -> Model:
    """Check an object against the protocol of models.

    Args:
        model: What a factory returned.
        target: The factory as the user named it, for messages.
        handed: What the model may be handed beside the context, see `load_model.what_is_handed`.

    Returns the same object.

    Raises:
        ModelError: The object has no valid card, none of the methods of a FrameModel, StateModel, PrivilegedModel or
            RecordedModel, or only one that it may not have.
    """
    if model is None:
        raise ModelError(f"{target} returned None: does the factory end with `return model`?")
    kind = type(model).__name__
    if inspect.isclass(model):
        raise ModelError(
            f"{target} is a class that was not called: return {model.__name__}(...), not {model.__name__}."
        )
    methods = [name for name in METHODS if callable(getattr(model, name, None))]
    if not methods:
        # attributes under which DataParallel, FSDP and trainers keep a model
        kept = {name: getattr(model, name, None) for name in ("module", "model", "network")}
        inner = next((name for name, each in kept.items() if callable(getattr(each, "rollout", None))), "")
        wraps = f"It wraps a model that has one: give its `.{inner}`." if inner else ""
        expected = "rollout(context, *, horizon, actions, prompts, generators), or rollout_states for a model of states"
        raise ModelError(f"{target}: the {kind} has no method `rollout`. {wraps or f'Expected {expected}.'}")
    stated = getattr(model, "card", None)
    wanted = stated.methods if isinstance(stated, ModelCard) else ()
    name = next((each for each in methods if each in wanted), methods[0])
    needed, remedy = NEEDS.get(name, ("context", ""))
    if needed not in ("context", handed):
        raise ModelError(f"{target}: {kind}.{name} {remedy}.")
    first, *others = METHODS[name]
    try:
        inspect.signature(getattr(model, name)).bind(None, **dict.fromkeys(others))
    except TypeError as error:
        raise ModelError(
            f"{target}: {kind}.{name} cannot be called as {name}({first}, *, {', '.join(others)}): {error}."
        ) from None
    except ValueError:  # a function written in C has no signature
        pass
    card = check_card_types(getattr(model, "card", None), target)
    if (name == "rollout_clips") != (card.track == "privileged"):
        raise ModelError(
            f"{target}: models with `rollout_clips`, and no others, have a card with track='privileged'; got "
            f"`{name}` and track='{card.track}'."
        )
    if name not in card.methods:
        got, needs = type(card).__name__, next(each.__name__ for each in CARDS.values() if name in each.methods)
        raise ModelError(
            f"{target}: a model with `{name}` needs a physbench.{needs}, got a {got}; one with a {got} needs a method "
            f"`{card.methods[0]}`."
        )
    checked: Model = model
    return checked


def check_card_types(card: Any, where: str) -> ModelCard:
    """Return the card if its fields have the right types and values, else raise ModelError."""
    if not isinstance(card, ModelCard):
        got = "none" if card is None else f"a {type(card).__name__}"
        raise ModelError(f"{where}: the model needs an attribute `card` of type physbench.ModelCard, got {got}.")
    size = card.image_size
    if not (isinstance(size, tuple | list) and len(size) == 2 and all(type(side) is int for side in size)):
        raise ModelError(f"{where}: expected image_size (height, width) in whole px, such as (64, 64), got {size!r}.")
    if isinstance(card.fps, bool) or not isinstance(card.fps, int | float):
        raise ModelError(f"{where}: expected fps to be a number, such as 15, got {card.fps!r}.")
    for name in ("context_frames", "max_horizon", "training_clips"):
        value = getattr(card, name)
        if type(value) is not int and not (name != "context_frames" and value is None):
            raise ModelError(f"{where}: expected {name} to be a whole number, got {value!r}.")
    for name in ("uses_actions", "uses_camera", "uses_prompt", "stochastic", "repeat_first"):
        value = getattr(card, name)
        if type(value) is not bool:
            raise ModelError(f"{where}: expected {name} to be True or False, got {value!r}.")
    if card.track not in get_args(Track):
        raise ModelError(f"{where}: expected track to be one of {', '.join(get_args(Track))}, got {card.track!r}.")
    card.check_kind(where)
    if isinstance(size, list):  # the spec of a clip is compared with that of the card
        object.__setattr__(card, "image_size", tuple(size))
    return check_card(card)
