"""The scorers that explain: laws, appearance, identity, timing. None of them enters a skill."""
