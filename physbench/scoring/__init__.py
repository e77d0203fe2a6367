"""The scorer protocol, laws of motion, predictability, skill, bootstrap."""
