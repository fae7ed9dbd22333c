"""One Ray for all tests here. Where this machine cannot have one they fail, and say what is missing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.ray.cluster import Cluster, NoRay


@pytest.fixture(scope="session")
def ray() -> Iterator[Cluster]:
    made = None
    try:
        made = Cluster()
        made.start()
        yield made
    except NoRay as reason:
        pytest.fail(f"THIS MACHINE CANNOT HAVE A RAY, so nothing here was tested: {reason}")
    finally:
        if made is not None:
            made.close()
