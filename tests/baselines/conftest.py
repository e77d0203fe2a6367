"""Models as the harness loads them."""

from loaded_models import load

__all__ = ["load"]
