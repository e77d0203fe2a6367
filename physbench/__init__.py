"""physbench: has this world model learned physics, and if not, which law breaks, where, and how far ahead?"""

from __future__ import annotations

__version__ = "0.1.0"
