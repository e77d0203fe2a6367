"""What is read from tracks: the scorer protocol, visibility, predictability, and the scoring of one clip."""
