"""Scripts that engines run: `python -m api.children.<name>`.

They import nothing of the service but `api.utils`, and nothing of the service imports them.
"""
