"""A run behind a URL: worked on in a copy here, from which every file goes to the URL as soon as it is whole."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from physbench.result.formats import counted
from physbench.run.interruption import Interrupted, interruptible
from physbench.run.state import OURS, Say
from physbench.support.errors import PhysbenchError, UsageError
from physbench.support.remote import LOCK, RemoteFolder, RemoteLock, TakenOverError, is_url
from physbench.support.run_folder import RunFolder

PUSH_SECONDS = 5.0  # between two looks for files that are whole

Use = Literal["begin", "start over", "go on", "read", "glance"]
FETCHED: dict[Use, Callable[[str], bool]] = {
    "begin": lambda name: name == "manifest.json",  # it says that there is a run already
    "go on": lambda name: True,
    "read": lambda name: True,
    "glance": lambda name: not name.startswith("rollouts/") or name.endswith(".json"),  # without the videos
}


@dataclass(frozen=True)
class RunPlace:
    """Place of a run. `path` is None where the user names no place, `url` where it is a folder."""

    path: Path | None
    url: str | None
    say: Say

    @property
    def name(self) -> str:
        """The run as the user names it."""
        return self.url or str(self.path)

    @property
    def folder(self) -> RunFolder:
        """The folder of a run that was named."""
        assert self.path is not None
        return RunFolder(self.path)

    def named(self, text: object) -> str:
        """A text with the URL in the place of the folder in which the run is worked on."""
        return str(text) if self.url is None else str(text).replace(str(self.path), self.url)


def use_of_out(resume: bool, fresh: bool) -> Use:
    """Use of the run in --out."""
    return "start over" if fresh else "go on" if resume else "begin"


@contextmanager
def run_at(name: str | Path | None, use: Use, say: Say) -> Iterator[RunPlace]:
    """The place of a run: the folder that the user names, or a copy of what is behind the URL that the user names.

    What is made in the copy is at the URL at the end of the block, however that ends; where that fails, it is said what
    is kept where. To "read" and to "glance" nothing is pushed.

    Args:
        name: A folder, a URL or nothing.
        use: What is done with it.

    Raises:
        UsageError: The URL does not hold what a run consists of, or another process or machine is at work there.
        PhysbenchError: The URL does not answer.
    """
    if not is_url(name):
        yield RunPlace(None if name is None else Path(name), None, say)
        return
    remote = RemoteFolder(str(name), OURS)
    place = RunPlace(remote.local, remote.place.url, lambda text: say(place.named(text)))
    with ExitStack() as stack:
        if use in ("read", "glance"):
            _fetch_unless_at_work(remote, use, say)
            stack.enter_context(_renamed(place))
        else:
            stack.enter_context(interruptible())
            stack.enter_context(_at_work(remote, use, say))
            stack.enter_context(_renamed(place))
        yield place


@contextmanager
def _renamed(place: RunPlace) -> Iterator[None]:
    """Errors speak of the URL."""
    try:
        yield
    except PhysbenchError as error:
        error.args = tuple(place.named(each) for each in error.args)
        raise


def _fetch_unless_at_work(remote: RemoteFolder, use: Use, say: Say) -> None:
    """Bring the copy up to date. Where a process of this machine is at work in it, it is ahead of the URL."""
    try:
        with remote.held():
            remote.pull(say, FETCHED[use])
    except BlockingIOError:
        return


@contextmanager
def _at_work(remote: RemoteFolder, use: Use, say: Say) -> Iterator[None]:
    """Hold the copy and the URL, and bring from one to the other what is made in here."""
    url = remote.place.url
    with ExitStack() as stack:
        try:
            stack.enter_context(remote.held())
        except BlockingIOError as error:
            raise UsageError(f"Another process is working in {url}. Wait for it, or choose another place.") from error
        session = _Session(remote, RemoteLock(remote.place, remote.token, say), say)
        remote.check()  # before anything is written there
        session.lock.take()
        ended = False
        try:
            if use == "start over":
                remote.start_over()
            else:
                remote.pull(say, FETCHED[use])
            session.ready = True
            with _Repeated(PUSH_SECONDS, session.push), _Repeated(LOCK.beat, session.renew):
                yield
            ended = True
        finally:
            problem = session.conclude()
            if problem is not None and ended:
                raise problem
            if problem is not None:
                say(str(problem))


class _Session:
    """Uploads to a URL while a run is at work, and at its end."""

    def __init__(self, remote: RemoteFolder, lock: RemoteLock, say: Say) -> None:
        self.remote, self.lock, self.say = remote, lock, say
        self.ready = False  # whether the copy is what the URL holds: before that, nothing of it may go there
        self.pushed = 0
        self.failures = 0  # in a row
        self.taken: TakenOverError | None = None

    def push(self) -> None:
        """Bring what is whole by now; what fails is tried again next time."""
        if self.taken is not None:
            return
        try:
            self.pushed += self.remote.push(self.lock.renew)
            self.failures = 0
        except TakenOverError as error:
            self._stop(error)
        except (PhysbenchError, OSError) as error:
            self.failures += 1
            if self.failures == 2:  # a first one is not spoken of: the next push may do better
                self.say(f"{error}\nThe run goes on in {self.remote.local}; what is new is sent once that works again.")

    def renew(self) -> None:
        """Give a sign of life; stop to push where another machine has taken over."""
        try:
            if self.taken is None:
                self.lock.renew()
        except TakenOverError as error:
            self._stop(error)
        except (PhysbenchError, OSError):
            return  # a push that fails is spoken of

    def _stop(self, error: TakenOverError) -> None:
        self.taken = error
        self.say(f"{error} What is new here stays in {self.remote.local}.")

    def conclude(self) -> PhysbenchError | None:
        """Bring the rest and give the lock back. Returns what is to be said where that fails."""
        if not self.ready:
            with suppress(PhysbenchError, OSError):  # nobody renews it: it ends by itself
                self.lock.release()
            return None
        try:
            if self.taken is not None:
                raise self.taken
            self.lock.renew()  # or what another machine has made would be taken for what was sent from here
            self.pushed += self.remote.push(self.lock.renew)
            if self.pushed:
                self.remote.settle(self.lock.renew)
            self.lock.release()
        except KeyboardInterrupt:
            return Interrupted(f"Interrupted. {self._left()}")
        except (PhysbenchError, OSError) as error:
            return PhysbenchError(f"{error}\n{self._left()}")
        if self.pushed:
            self.say(f"{self.remote.place.url} holds all of it; the copy of this machine is {self.remote.local}")
        return None

    def _left(self) -> str:
        many = self.remote.waiting()
        are = f"{counted(many, 'file')} {'is' if many == 1 else 'are'} not at {self.remote.place.url}"
        return f"{are}, but in {self.remote.local}. Repeat the command later (eval and rollout with --resume)."


class _Repeated:
    """`with _Repeated(seconds, function)`: calls a function again and again in a thread of its own."""

    def __init__(self, seconds: float, function: Callable[[], None]) -> None:
        self._seconds, self._function = seconds, function
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._repeat, daemon=True)

    def _repeat(self) -> None:
        while not self._over.wait(self._seconds):
            self._function()

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
