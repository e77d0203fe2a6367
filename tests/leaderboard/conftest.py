"""Fixtures of the tests of boards."""

from __future__ import annotations

from core_tables import make_run
from tiny_board import _read_once, plain_reports, readings_so_far, tiny_copy, tiny_run, tiny_suite

__all__ = ["_read_once", "make_run", "plain_reports", "readings_so_far", "tiny_copy", "tiny_run", "tiny_suite"]
