"""Folders of trained sources: what was saved is read, what was changed is refused."""

import json

import numpy as np
import pytest

from model.sources.store import check_shapes, read_source_manifest, read_source_model, save_source_model
from schemas.errors import CorruptFileError, UsageError

WEIGHTS = {"b": np.arange(3, dtype=np.float32), "a": np.eye(2, dtype=np.float32)}


def test_what_is_saved_is_read_and_equal_content_has_an_equal_id(tmp_path):
    name = save_source_model(tmp_path / "one", "thing", {"config": {"dim": 2}}, WEIGHTS, {"curve": [1]})
    config, weights = read_source_model(tmp_path / "one", "thing")
    assert config == {"kind": "thing", "config": {"dim": 2}}
    assert {key: value.tolist() for key, value in weights.items()} == {
        key: value.tolist() for key, value in WEIGHTS.items()
    }
    assert read_source_manifest(tmp_path / "one", "thing")["model_id"] == name
    assert name.startswith("thing-")
    other_curve = save_source_model(tmp_path / "two", "thing", {"config": {"dim": 2}}, WEIGHTS, {"curve": []})
    other_config = save_source_model(tmp_path / "three", "thing", {"config": {"dim": 3}}, WEIGHTS, {"curve": [1]})
    assert name == other_curve != other_config


@pytest.mark.parametrize("file", ["config.json", "weights.safetensors"])
def test_a_changed_file_is_refused(tmp_path, file):
    save_source_model(tmp_path, "thing", {}, WEIGHTS, {})
    (tmp_path / file).write_bytes((tmp_path / file).read_bytes() + b" ")
    with pytest.raises(CorruptFileError, match="sha256"):
        read_source_model(tmp_path, "thing")


@pytest.mark.parametrize(
    "manifest", [[], {}, {"files": {"../x": "a"}}, {"kind": "thing", "files": None}, {"files": "a"}]
)
def test_a_manifest_that_is_none_is_refused(tmp_path, manifest):
    save_source_model(tmp_path, "thing", {}, WEIGHTS, {})
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(CorruptFileError, match="expected the manifest"):
        read_source_model(tmp_path, "thing")


def test_another_kind_an_edited_id_and_a_full_folder_are_refused(tmp_path):
    save_source_model(tmp_path, "thing", {}, WEIGHTS, {})
    with pytest.raises(CorruptFileError, match="of the kind other"):
        read_source_model(tmp_path, "other")
    with pytest.raises(UsageError, match="new or empty"):
        save_source_model(tmp_path, "thing", {}, WEIGHTS, {})
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    (tmp_path / "manifest.json").write_text(json.dumps({**manifest, "model_id": "thing-0"}))
    with pytest.raises(CorruptFileError, match="thing-0"):
        read_source_manifest(tmp_path, "thing")
    with pytest.raises(CorruptFileError, match="JSON file"):
        read_source_model(tmp_path / "nowhere", "thing")


def test_shapes_and_numbers_are_checked():
    check_shapes(WEIGHTS, {"a": (2, 2), "b": (3,)}, "here")
    with pytest.raises(CorruptFileError, match=r"others of \['b'\]"):
        check_shapes(WEIGHTS, {"a": (2, 2), "b": (4,)}, "here")
    with pytest.raises(CorruptFileError, match=r"others of \['b', 'c'\]"):
        check_shapes(WEIGHTS, {"a": (2, 2), "c": (3,)}, "here")
    for bad in (np.array([np.nan], np.float32), np.ones(1, np.float64)):
        with pytest.raises(CorruptFileError, match="finite float32"):
            check_shapes({"a": bad}, {"a": (1,)}, "here")
