"""Manifests with no more than what a test is about."""

from __future__ import annotations

from typing import Any

from physbench.result.manifest import MANIFEST_VERSION, Manifest

CARD = {"name": "m", "image_size": [64, 64], "fps": 15, "context_frames": 8}


def made_manifest(model: dict[str, Any] | None = None, suite: dict[str, Any] | None = None, **fields: Any) -> Manifest:
    """A manifest of a model without a card on a suite without clips, where nothing else is given."""
    return Manifest.model_validate(
        {
            "schema_version": MANIFEST_VERSION,
            "suite": {"name": "smoke", "version": 1, "rows": [], **(suite or {})},
            "model": {"target": "m.py", **(model or {})},
            **fields,
        }
    )
