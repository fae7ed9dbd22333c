"""The process that holds loaded YOLO models and answers with what they see: `python -m api.children.yolo_infer <fd>`.

Messages of api.utils.framing, from the service: a first one with the settings, then `detect` (an image as payload),
`video` (a path of the service's making), `ack` and `cancel`, each with the `id` of a request. To it: `ready`, then by
id `done`, `failed`, and for videos `info` and `frame`.
"""
