"""What a Python program calls: an evaluation, and what it returns."""
