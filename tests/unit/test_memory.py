"""What the service tells the allocator."""

from __future__ import annotations

import subprocess
import sys

from api.settings import ROOT

#: the first large block raises glibc's own threshold; the small ones keep freed neighbours from being given back
CODE = """
import os
from api.utils.memory import return_large_blocks
return_large_blocks()
def held():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
large = b"x" * (16 << 20)
del large
before = held()
blocks, small = [], []
for _ in range(20):
    blocks.append(b"x" * (4 << 20))
    small.append(b"x" * 5000)
most = held()
blocks.clear()
print(most - before, held() - before)
"""


def test_large_blocks_go_back_to_the_system() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    most, kept = map(int, done.stdout.split())
    assert most > 80_000_000 and kept < 8_000_000, done.stdout
