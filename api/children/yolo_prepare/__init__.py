"""A YOLO dataset out of somebody's files: `python -m api.children.yolo_prepare`, a JSON task on standard input.

What it makes lies in the task's `target`, with a `summary.json` that says what was taken and what was left out.
"""
