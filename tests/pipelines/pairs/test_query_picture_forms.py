"""Query pictures are found in the forms in which those of the catalogue are found."""

import os

import numpy as np
import pytest

from model.pictures.faults import DEFAULT_LIMITS
from model.pictures.image_encoder import ImageEncoder
from model.pictures.image_encoder_spec import saved_image_encoder_spec
from pipelines.pairs.embed_queries import QueryEncoding, encode_queries, unit_fingerprint


@pytest.mark.medium
def test_a_log_writes_paths_as_it_likes(encoder_folder, image_root):
    spec = saved_image_encoder_spec(encoder_folder, "cpu", "float32")
    forms = ["photo-0.png", "/photo-0.png", "photo%2D0.png?v=2", f"file://{image_root}/photo-0.png", "none.png"]
    ids, vectors, rejected = encode_queries(ImageEncoder(spec), str(image_root), list(enumerate(forms)))
    assert ids.tolist() == [0, 1, 2, 3]
    assert all(np.array_equal(vector, vectors[0]) for vector in vectors)
    assert [row.where for row in rejected] == ["'none.png'"]


def test_a_unit_is_computed_again_when_the_file_of_a_form_changes(tmp_path):
    encoding = QueryEncoding(
        run="run", image_root=str(tmp_path), encoder_folder="", encoder_id="", device="cpu", num_units=1,
        limits=DEFAULT_LIMITS,
    )  # fmt: skip
    seen = [unit_fingerprint(encoding, [(0, "/a%20b.png")])]
    for time_ns in (1_000, 2_000):
        (tmp_path / "a b.png").write_bytes(b"a")
        os.utime(tmp_path / "a b.png", ns=(time_ns, time_ns))
        seen.append(unit_fingerprint(encoding, [(0, "/a%20b.png")]))
    assert len(set(seen)) == 3
