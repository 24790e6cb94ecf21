"""Marks of tests that need a library which not every installation has."""

import pytest

from model.nearest.voyager import is_installed

needs_voyager = pytest.mark.skipif(
    not is_installed(), reason="voyager is not installed: pip install 'itemsage[voyager]'"
)
