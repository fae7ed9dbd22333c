"""The diffusion_pipe engine."""

from api.services.engines.diffusion_pipe.engine import DiffusionPipeEngine

__all__ = ["DiffusionPipeEngine"]
