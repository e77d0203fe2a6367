"""What a model must offer, and how one is made from a path or a name."""
