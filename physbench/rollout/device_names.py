"""Names of devices as they are given by --device. Does not import torch."""

from __future__ import annotations

import re

from physbench.support.errors import UsageError, nearest


def device_kind(names: str) -> str:
    """Kind of device of one or several names: "cuda" of "cuda:0,cuda:1". Answers are those of a kind."""
    return re.split("[:,]", names)[0]


def check_device_name(name: str) -> None:
    """Raise UsageError where no machine has a device of this name."""
    if not re.fullmatch("auto|(cpu|cuda|mps)(:[0-9]*)?", name):
        raise UsageError(f"--device: there is no '{name}'.{nearest(name, ('auto', 'cpu', 'cuda', 'cuda:1', 'mps'))}")


def split_devices(names: str) -> tuple[str, ...]:
    """Names of devices separated by commas: "cuda:0,cuda:1".

    Raises UsageError where one is no name of a device, or where they cannot work together.
    """
    devices = tuple(name.strip() for name in names.split(","))
    for name in devices:
        check_device_name(name)
    if len(devices) == 1:
        return devices
    kinds = {device_kind(name) for name in devices}
    if len(kinds) > 1 or kinds - {"cpu", "cuda"}:
        raise UsageError(f"--device {names}: expected devices of one kind, cuda or cpu, as in cuda:0,cuda:1.")
    if kinds == {"cuda"}:
        places = [name.partition(":")[2] or "0" for name in devices]
        if twice := next((place for place in places if places.count(place) > 1), None):
            raise UsageError(f"--device {names}: cuda:{twice} is named twice.")
    return devices
