"""Pipelines of diffusers and networks of transformers, from local folders."""
