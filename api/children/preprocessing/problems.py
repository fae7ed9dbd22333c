"""What can go wrong: with one file, which is reported and passed over, or with the whole run."""

from __future__ import annotations

import errno

#: no other file would fare better
HOPELESS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})


class Broken(Exception):
    """This source file gives no item."""


class Fatal(Exception):
    """The run cannot go on."""
