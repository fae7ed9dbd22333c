"""Preprocessing: videos and images into a captioned training set, as one more engine behind the queue."""

from api.services.engines.preprocessing.engine import PreprocessingEngine
from api.services.engines.preprocessing.keys import Keys

__all__ = ["Keys", "PreprocessingEngine"]
