"""Where the features stage keeps the vectors of pictures by their content: a file, and a cache of bounded size."""

import numpy as np
import pytest

from pipelines.features.picture_vectors import VectorCache, VectorFile


def test_vector_file(tmp_path):
    vectors = np.random.default_rng(0).normal(size=(50, 7)).astype(np.float16)
    with VectorFile(tmp_path, 7) as file:
        for number, vector in enumerate(vectors):
            file.add(bytes([number]), vector)
            file.add(bytes([number]), vector + 1)
        assert all((file.get(bytes([number])) == vectors[number]).all() for number in range(50))
        assert b"\0" in file
        assert b"x" * 2 not in file
        with pytest.raises(ValueError, match="width 7"):
            file.add(b"other", np.zeros(8, np.float16))
    assert list(tmp_path.iterdir()) == []


def test_vector_cache_forgets_the_oldest():
    cache = VectorCache(max_bytes=3 * 8)
    vectors = {bytes([n]): np.full(4, n, np.float16) for n in range(5)}
    for digest in (b"\0", b"\1", b"\2"):
        cache.add(digest, vectors[digest])
    assert (cache.get(b"\0") == 0).all()
    cache.add(b"\3", vectors[b"\3"])
    assert cache.get(b"\1") is None
    assert [cache.get(digest) is not None for digest in (b"\0", b"\2", b"\3")] == [True] * 3
    assert cache.num_bytes == 24
