"""YOLO trainings, exports and validations with ultralytics, which is used as a program: imported here, never copied."""
