"""Trainyard's command: serve (the default), or administer it."""

from __future__ import annotations

import sys

from api.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
