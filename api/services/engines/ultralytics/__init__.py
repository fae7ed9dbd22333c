"""ultralytics: YOLO trainings, exports and validations in a process of their own."""

from api.services.engines.ultralytics.engine import UltralyticsEngine

__all__ = ["UltralyticsEngine"]
