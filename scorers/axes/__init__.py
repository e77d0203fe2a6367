"""The scorers that count: physical consistency, object permanence, long-horizon drift."""
