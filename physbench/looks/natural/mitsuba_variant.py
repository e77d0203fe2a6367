"""Which variant of Mitsuba works on this machine.

A wrong LLVM does not raise an error: it ends the process. So a variant is tried in a process of its own.
"""

from __future__ import annotations

import importlib.util
import multiprocessing
import os
import subprocess
import sys
from functools import cache
from typing import Any

from physbench.errors import UsageError

VARIANTS = ("llvm_ad_rgb", "scalar_rgb")  # the faster one first
VARIANT_ENVIRONMENT = "PHYSBENCH_MITSUBA_VARIANT"
PROBE_SECONDS = 120.0
PROBE = """
import sys
import mitsuba
mitsuba.set_variant(sys.argv[1])
import numpy
assert numpy.isfinite(numpy.array(mitsuba.render(mitsuba.load_dict(mitsuba.cornell_box()), spp=1))).all()
"""
MISSING = (
    "The look natural needs Mitsuba 3, and there is none: pip install 'physbench[natural]'. "
    "There are wheels for Linux, macOS and Windows. The plain look needs nothing."
)


def renderer() -> Any:
    """The module `mitsuba` with a variant that works. Raises UsageError where there is none."""
    variant = working_variant()
    import mitsuba

    if mitsuba.variant() != variant:
        mitsuba.set_variant(variant)
        mitsuba.set_log_level(mitsuba.LogLevel.Error)  # else Ctrl-C makes it warn of an interrupt
    if multiprocessing.parent_process() is not None:  # a worker has one core
        import drjit

        drjit.set_thread_count(1)
    return mitsuba


def denoise(colour: Any, albedo: Any, normal: Any) -> Any:
    """A picture (h, w, 3) float32 without its noise, by Open Image Denoise, with noiseless albedo and normals."""
    try:
        import mitsuba_oidn
    except ImportError:
        raise UsageError(MISSING.replace("Mitsuba 3, and there is none", "mitsuba-oidn, and there is none")) from None
    return mitsuba_oidn.denoise(colour, albedo, normal, hdr=True, clean_aux=True)


def check_mitsuba() -> None:
    """Raise UsageError where the packages of the look natural are missing. It renders nothing, and takes no time."""
    if any(importlib.util.find_spec(name) is None for name in ("mitsuba", "mitsuba_oidn")):
        raise UsageError(MISSING)


@cache
def working_variant() -> str:
    """Name of the first of VARIANTS that renders here, or of the one that the environment names."""
    if importlib.util.find_spec("mitsuba") is None:
        raise UsageError(MISSING)
    asked = os.environ.get(VARIANT_ENVIRONMENT)
    if asked and asked not in VARIANTS:
        raise UsageError(f"${VARIANT_ENVIRONMENT}: expected {' or '.join(VARIANTS)}, got '{asked}'.")
    failures = []
    for variant in (asked,) if asked else VARIANTS:
        problem = probe(variant)
        if not problem:
            return variant
        failures.append(f"{variant}: {problem}")
    remedy = (
        f"Unset ${VARIANT_ENVIRONMENT}, as scalar_rgb needs no LLVM, or install LLVM 19 (apt install libllvm19)."
        if asked == "llvm_ad_rgb"
        else "Install it again: pip install --force-reinstall mitsuba mitsuba-oidn."
    )
    raise UsageError(f"Mitsuba is installed, but renders nothing here ({'; '.join(failures)}). {remedy}")


@cache
def probe(variant: str) -> str:
    """What is wrong with a variant here: "" for nothing."""
    command = [sys.executable, "-c", PROBE, variant]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PROBE_SECONDS, check=False)
    except subprocess.TimeoutExpired:  # says nothing of the variant: another one would draw other pictures
        raise UsageError(
            f"Mitsuba did not render a test picture within {PROBE_SECONDS:g} s (variant {variant}): the machine is too "
            f"busy. Try again, or name a variant: {VARIANT_ENVIRONMENT}={variant}."
        ) from None
    if done.returncode == 0:
        return ""
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    return lines[-1][:200] if done.returncode == 1 and lines else f"ended with {done.returncode}"


def variant_names() -> dict[str, str]:
    """What a layer depends on beside the stage: the variant and the versions of Mitsuba and of the denoiser."""
    from importlib.metadata import PackageNotFoundError, version

    found = {"variant": working_variant()}
    for name in ("mitsuba", "drjit", "mitsuba-oidn"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "none"
    return found
