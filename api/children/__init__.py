"""Scripts that engines run in the interpreter of a training library: `python -m api.children.<name>`.

They import nothing else of the service, and nothing of the service imports them.
"""
