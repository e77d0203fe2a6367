"""A tracked prediction and the analyses of its motion that several scorers read, each made once and only on demand.

The stage between tracks and scorers: `score_clip` makes one `Observation` of a prediction, and each scorer is given the
analyses that it declares in `needs=`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

import numpy as np

from physbench.clips.clip import Clip
from physbench.rollout.store import Rollout
from physbench.shadowing import Shadowing, shadow
from physbench.shadowing.context import unknown_parameters
from physbench.support.arrays import Mask
from physbench.support.plugins import note_user_line, user_line
from physbench.track.tracks import Tracks

if TYPE_CHECKING:
    from physbench.score.motion import BodyMotion, ContactInterval, Energies, FreeSegment
    from physbench.score.predictability import Predictability
    from physbench.score.visibility import LawfulContinuation, Return

Value = TypeVar("Value")


@dataclass(frozen=True)
class _Failure:
    """An error without its traceback, whose frames would keep the clip and the tracks in memory."""

    kind: type[Exception]
    words: str
    line: str  # of the user's code, such as that of a task, or ""

    def again(self) -> Exception:
        try:
            error = self.kind(self.words)
        except Exception:  # a kind that takes other arguments
            error = RuntimeError(f"{self.kind.__name__}: {self.words}")
        note_user_line(error, self.line)
        return error


def _read_only(answer: Any) -> Any:
    """An answer that no reader can change for the next one."""
    if isinstance(answer, np.ndarray):
        answer.setflags(write=False)
    return MappingProxyType(answer) if isinstance(answer, dict) else answer


class Analysis(Generic[Value]):
    """A property of an `Observation` that is made when it is first read, and kept.

    An error is kept too, since it costs as much as an answer: it is raised again for each reader.
    """

    def __init__(self, make: Callable[[Observation], Value]) -> None:
        self.make = make
        self.name = make.__name__
        self.__doc__ = make.__doc__

    @overload
    def __get__(self, observation: None, owner: type[Observation]) -> Analysis[Value]: ...
    @overload
    def __get__(self, observation: Observation, owner: type[Observation]) -> Value: ...
    def __get__(self, observation: Observation | None, owner: type[Observation]) -> Analysis[Value] | Value:
        if observation is None:
            return self
        values = observation._values
        if self.name not in values:
            started = time.monotonic()
            try:
                values[self.name] = _read_only(self.make(observation))
            except MemoryError:  # of this machine, not of the prediction
                raise
            except Exception as error:
                values[self.name] = _Failure(type(error), str(error), user_line(error))
                raise
            finally:
                observation.seconds[self.name] = time.monotonic() - started
        answer: Any = values[self.name]
        if isinstance(answer, _Failure):
            raise answer.again()
        return answer  # type: ignore[no-any-return]


@dataclass(frozen=True, eq=False)
class Observation:
    """Prediction of a model for a clip, as the tracker saw it, with what follows from it.

    Attributes:
        clip: ground truth.
        rollout: the predicted frames.
        tracks: the objects in the context frames and the predicted ones; K of them in T frames.
        store: whether an analysis may write what it computes into the cache folder.
        seconds: s that tracking ("tracks") and each analysis took, by name, with what an analysis needs itself.
    """

    clip: Clip
    rollout: Rollout
    tracks: Tracks
    store: bool = True
    seconds: dict[str, float] = field(default_factory=dict, init=False, repr=False)
    _values: dict[str, Any] = field(default_factory=dict, init=False, repr=False)

    def known(self, name: str) -> Any:
        """An analysis that has been made; None where it has not, or where it raised. Computes nothing."""
        value = self._values.get(name)
        return None if isinstance(value, _Failure) else value

    @Analysis
    def shadowing(self) -> Shadowing | None:
        """Lawful segments and breaks; None where no law moves the scene."""
        return shadow(self.clip, self.tracks)

    @Analysis
    def free_constants(self) -> Shadowing | None:
        """Shadowing with the constants free that the context does not show.

        None where it shows all of them, and where no motion is judged.
        """
        shadowing = self.shadowing
        if shadowing is None or not shadowing.problem.seen.expected_visible.any():
            return None
        pulled = shadowing.problem.law.has_free_constant and not shadowing.problem.seen.tells_forces
        if not pulled and not unknown_parameters(self.clip, self.tracks.context):
            return None
        return shadow(self.clip, self.tracks, free=True)

    @Analysis
    def lawful_continuations(self) -> Mapping[int, LawfulContinuation]:
        """Continuations of objects from their lawful segments, by column of the tracks; only objects that have one."""
        from physbench.score.visibility import lawful_continuations

        return lawful_continuations(self.clip, self.shadowing)

    @Analysis
    def present(self) -> Mask:
        """(T, K) where something of an object was seen."""
        from physbench.score.visibility import present

        return present(self.clip, self.tracks, self.lawful_continuations)

    @Analysis
    def expected_visible(self) -> Mask:
        """(T, K) predicted frames in which an object should be visible, as truth or its lawful continuation has it."""
        from physbench.score.visibility import expected_visible

        return expected_visible(self.clip, self.tracks, self.lawful_continuations, self.present)

    @Analysis
    def returns(self) -> tuple[Return, ...]:
        """Outcome of each time in which an object should be hidden, by object and time."""
        from physbench.score.visibility import returns

        return returns(self.clip, self.tracks, self.lawful_continuations)

    @Analysis
    def motions(self) -> tuple[BodyMotion, ...]:
        """The tracked bodies that move, in the plane of motion, with their laws."""
        from physbench.score.motion import body_motions

        return body_motions(self.clip, self.tracks)

    @Analysis
    def contacts(self) -> Mapping[int, tuple[ContactInterval, ...]]:
        """Contacts of every moving body, by column of the tracks, in the order of time."""
        from physbench.score.motion import contacts_of

        return contacts_of(self.clip, self.tracks, self.motions)

    @Analysis
    def free_segments(self) -> Mapping[int, tuple[FreeSegment, ...]]:
        """Frames between the contacts and impulses of every moving body, by column of the tracks."""
        from physbench.score.motion import free_segments

        return {
            motion.column: free_segments(self.clip, motion, self.tracks.times, self.contacts[motion.column])
            for motion in self.motions
        }

    @Analysis
    def energies(self) -> tuple[Energies, ...]:
        """Energy and momentum of each group of moving bodies that touch each other."""
        from physbench.score.motion import energies

        return energies(self.clip, self.tracks, self.motions, self.contacts, self.free_segments)

    @Analysis
    def predictability(self) -> Predictability:
        """For how long the clip can be predicted from the context."""
        from physbench.score.predictability import predictability

        return predictability(self.clip, self.tracks.context, store=self.store)


ANALYSES = tuple(name for name, value in vars(Observation).items() if isinstance(value, Analysis))
