"""The HTTP server: waitress, with a gate at the end of the headers and an eye on clients that dawdle.

Works on waitress's internals (`check_waitress` says which) and owns its I/O loop. One thread does all the reading and
writing; the pool's threads run the application and never wait for a client that reads a file slowly.

What a request finds in its WSGI environ besides the usual:
`trainyard.actor` (what the gate's `authenticate` answered), `trainyard.head` (the RequestHead),
`trainyard.closing` (an Event: a stream ends when it is set) and `waitress.client_disconnected`.
"""

from api.serving.options import ServeError, ServeOptions, check_waitress
from api.serving.server import Server, listening_socket, raise_file_limit

__all__ = ["ServeError", "ServeOptions", "Server", "check_waitress", "listening_socket", "raise_file_limit"]
