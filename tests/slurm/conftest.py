"""One Slurm for all tests here. Where this machine cannot have one they fail, and say what is missing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.slurm.cluster import Cluster, NoSlurm


@pytest.fixture(scope="session")
def slurm() -> Iterator[Cluster]:
    try:
        made = Cluster()
    except NoSlurm as reason:
        pytest.fail(f"THIS MACHINE CANNOT HAVE A SLURM, so nothing here was tested: {reason}")
    try:
        made.start()
        yield made
    except NoSlurm as reason:
        pytest.fail(f"THIS MACHINE CANNOT HAVE A SLURM, so nothing here was tested: {reason}")
    finally:
        made.close()
