class ServeError(RuntimeError):
    """Cannot listen."""
