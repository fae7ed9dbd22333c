"""The script engine: any PyTorch or TensorFlow script as a job."""

from api.services.engines.script.engine import ScriptEngine
from api.services.engines.script.environment import environment_id

__all__ = ["ScriptEngine", "environment_id"]
