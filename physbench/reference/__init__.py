"""Reference world models: architectures, training, the shipped checkpoint."""
