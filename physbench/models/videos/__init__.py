"""Models whose answers are videos that somebody else made."""
