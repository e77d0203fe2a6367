"""Interface for Python programs: an evaluation, and what it returns."""
