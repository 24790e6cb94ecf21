"""A local web server, which loopback alone reaches."""

from collections.abc import Iterator

import pytest
from picture_server import PictureServer, picture_server


@pytest.fixture
def server() -> Iterator[PictureServer]:
    with picture_server() as served:
        yield served
