"""Tracks made from exact states."""

from ideal_tracks import ideal

__all__ = ["ideal"]
