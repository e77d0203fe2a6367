"""What physbench uses of the module `ray`, in threads of this process. Arguments and results are pickled, as there."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future
from concurrent.futures import TimeoutError as LateError
from concurrent.futures import wait as wait_for
from types import SimpleNamespace
from typing import Any


class RayError(Exception):
    pass


class RayTaskError(RayError):
    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


def _kind(name: str, *bases: type) -> type:
    return type(name, bases or (RayError,), {})


ACTOR_ERROR = _kind("RayActorError")
EXCEPTIONS = SimpleNamespace(
    RayError=RayError,
    RayTaskError=RayTaskError,
    GetTimeoutError=_kind("GetTimeoutError", RayError, TimeoutError),
    RayActorError=ACTOR_ERROR,
    ActorDiedError=_kind("ActorDiedError", ACTOR_ERROR),
    OutOfMemoryError=_kind("OutOfMemoryError"),
    WorkerCrashedError=_kind("WorkerCrashedError"),
    NodeDiedError=_kind("NodeDiedError"),
    ObjectLostError=_kind("ObjectLostError"),
)


class Reference:
    """Of a result that is awaited, or of what was put."""

    def __init__(self) -> None:
        self.future: Future[bytes] = Future()


class RayStandIn:
    """Stands for the module. `gpus` may be made fewer while it is at work; calls that are `lost` are never answered."""

    exceptions = EXCEPTIONS

    def __init__(self, gpus: int = 0) -> None:
        self.gpus, self.asked = gpus, list[dict[str, Any]]()
        self.killed = 0
        self.lost: Callable[[int, str], bool] = lambda actor, method: False  # whether a call is never answered

    def init(self, **settings: Any) -> None:
        self.settings = settings

    def shutdown(self) -> None:
        self.settings = {}

    def nodes(self) -> list[dict[str, Any]]:
        return [{"Alive": True}]

    def cluster_resources(self) -> Mapping[str, float]:
        return {"CPU": 2.0, "GPU": float(self.gpus)}

    def remote(self, **how: Any) -> Callable[[Any], Any]:
        self.asked.append(how)

        def prepared(what: Any) -> Any:
            if not isinstance(what, type):
                return SimpleNamespace(remote=lambda *args: self._start(what, args))
            numbers = iter(range(100))
            return SimpleNamespace(remote=lambda *args: self._actor(what(*_sent(args)), next(numbers)))

        return prepared

    def _actor(self, instance: Any, number: int) -> Any:
        def call(name: str) -> Any:
            def asked(*args: Any) -> Reference:
                if self.lost(number, name):
                    return Reference()
                return self._start(getattr(instance, name), args)

            return SimpleNamespace(remote=asked)

        methods = {name: call(name) for name in dir(type(instance)) if not name.startswith("_")}
        return SimpleNamespace(**methods)

    def _start(self, function: Callable[..., Any], args: tuple[Any, ...]) -> Reference:
        reference = Reference()

        def work() -> None:
            try:
                found = [self.get(each) if isinstance(each, Reference) else _sent(each) for each in args]
                reference.future.set_result(pickle.dumps(function(*found)))
            except Exception as error:
                reference.future.set_exception(RayTaskError(error))

        threading.Thread(target=work, daemon=True).start()
        return reference

    def put(self, value: Any) -> Reference:
        reference = Reference()
        reference.future.set_result(pickle.dumps(value))
        return reference

    def get(self, reference: Reference, timeout: float | None = None) -> Any:
        try:
            return pickle.loads(reference.future.result(timeout))
        except LateError:
            raise EXCEPTIONS.GetTimeoutError from None

    def wait(self, references: list[Reference], num_returns: int, timeout: float) -> tuple[list[Reference], list[Any]]:
        wait_for([each.future for each in references], timeout, FIRST_COMPLETED)
        done = [each for each in references if each.future.done()][:num_returns]
        return done, [each for each in references if each not in done]

    def kill(self, actor: Any) -> None:
        self.killed += 1


def _sent(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))
