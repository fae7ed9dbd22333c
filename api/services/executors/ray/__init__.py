"""Attempts on an existing Ray cluster, over its Jobs REST API; nothing of Ray is imported."""

from api.services.executors.ray.client import Ray
from api.services.executors.ray.executor import RayExecutor

__all__ = ["Ray", "RayExecutor"]
