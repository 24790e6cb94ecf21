"""The TOML file below a command's flags: which of its keys are this command's, and that none is a misspelling."""

import dataclasses
import difflib
import sys
import tomllib
import types
import typing
from collections.abc import Collection
from typing import Any

from pipelines.console.commands import COMMANDS
from schemas import storage
from schemas.errors import UsageError
from schemas.quarantine import quote
from schemas.reading.formats_of_config import checked_format

#: Fields of any command's config: what a file that all commands share may hold. Kept by hand, and equal to the configs
#: by a test, since learning them from the jobs' modules takes seconds of imports.
SHARED_KEYS = frozenset(
    """
    accept accept_training_days accept_untrained actions aggregator allow_private alpha also attempt batch_size
    because blend_popularity calibrate calibrate_for calibrate_samples calibrate_users calibration calibration_days
    catalog checkpoint_every concurrent_per_host correction count_cap date decay_per_day device dim distill_epochs
    distill_queries drop_fields drop_modalities drop_pictures drop_tokens dropout dry_run embeddings end_date
    engagements epochs evaluate_every exact ffn_dim field_layer_norm field_weight_learning_rate field_weights file
    force frequencies from_date frozen gap_days group_rows half_evidence hash_dim hash_rows hashing_size heads how
    ignore_robots image image_dtype image_encoder image_encoder_folder image_root image_weights image_weights_name
    image_weights_sha256 importance_learning_rate in_batch_negatives include_train index_backend interpolate item
    item_test_fraction item_validation_fraction items items_run joint json judgements keep keep_going
    keep_near_duplicates keep_seen kind learn_weights learning_rate lifetimes list_length log_every markdown mask_known
    max_actions max_actions_drop max_bigrams max_changed_texts max_coverage_drop max_distill_steps max_drift_auc
    max_field_tokens max_gradient_norm max_items max_pairs_per_item max_picture_bytes max_picture_pixels
    max_quarantined_log max_quarantined_pictures max_quarantined_rows max_queries max_recall_drop
    max_requests_per_host_s max_row_drop max_row_growth max_search_k max_training_pictures max_trees max_trigrams
    max_users_drop max_words min_age_hours min_count min_index_recall min_index_recall_picture min_index_recall_text
    min_kept min_overlap min_quarantined min_recall_pairs min_refined_kept min_steps mlp_dim mode model
    near_duplicate_cosine nested_dims new normalize_pictures notes num_buckets num_hashes num_layers num_negatives
    num_user_buckets old out out_json output_dim pairs_per_purchase patience popularity_weight precision
    pseudo_queries pseudo_share queries query_vectors random_negatives reason rebuild recent reference refine_cosine
    refit refresh_days requests return_days reuse_from run sample_rows samples seed seeds share_text_table sources
    split split_date start store strict table_learning_rate table_std tables target_recall task_mix tasks test_days
    test_fraction text text_dtype text_encoder text_encoder_folder time_zone timeout_s to to_date top train_before
    typo_share unified_model unify use_pictures use_text user user_agent users validation_days validation_fraction
    validation_items validation_pairs vectors verify_images vocabulary vocabulary_mode warmup_fraction weight_decay
    weight_init weights what width window_days work workers
    """.split()  # noqa: SIM905 (a list would take a line each)
)


#: Commands that take what they know from another command's table too, below their own.
_LIKE = {"backfill": "daily", "doctor": "daily"}


def read_config_file(path: str | None, config_class: type, command: str) -> dict[str, Any]:
    """The values that the TOML file at `path` gives for the fields of `config_class`; none without a file.

    Keys are field names, with `_` or `-`. A table named like the command (`[daily]`) overrides top-level keys; backfill
    and doctor read `[daily]` too, below their own. Keys and tables of other commands are ignored; those of no command
    raise UsageError, as does a value of a wrong type or that is none of a field's choices. Field `columns` (dict) is
    filled from the table `[columns]` only; `[format]` is read_format's.
    """
    if path is None:
        return {}
    document = {key.replace("-", "_"): value for key, value in _load(path).items()}
    fields = {field.name: field for field in dataclasses.fields(config_class)}
    table_name = command.replace("-", "_")
    own, shared, inherited = {}, {}, {}
    for name, value in document.items():
        if name == table_name and (isinstance(value, dict) or name not in fields):
            own = _own_table(value, fields, command, path)
        elif name == _LIKE.get(command) and isinstance(value, dict):
            inherited = {key.replace("-", "_"): inner for key, inner in value.items()}
        elif name == "format":
            continue
        elif name == "columns" or not isinstance(value, dict):
            shared[name] = value
        elif name not in _commands():
            raise _unknown(f"[{name}]", "tables [columns], [format] or of a command", path, _commands())
    for name in sorted((shared.keys() | inherited.keys()) - fields.keys() - {"columns"}):
        if name not in SHARED_KEYS:
            raise _unknown(name, "flags of a command", path, SHARED_KEYS)
    given = {name: value for name, value in {**shared, **inherited, **own}.items() if name in fields}
    hints = typing.get_type_hints(config_class)
    return {name: _checked(value, hints[name], fields[name], path) for name, value in given.items()}


def read_format(path: str | None, table: str) -> dict[str, str]:
    """What the TOML file at `path` says of the form of the files of a table: see schemas.reading.formats_of_config.
    `format = "csv"`, as the flag gives it, is `[format]` with that type."""
    given = {} if path is None else _load(path).get("format", {})
    if isinstance(given, str):
        given = {"type": given}
    if not isinstance(given, dict):
        raise UsageError(f"expected a table [format] in {path}, got {quote(given)}")
    return checked_format(given, table, str(path))


def plain_type(hint: Any) -> type:
    """`int | None` -> int."""
    if isinstance(hint, types.UnionType):
        return next(argument for argument in typing.get_args(hint) if argument is not type(None))
    return typing.get_origin(hint) or hint


def of_flag_type(value: Any, kind: type) -> Any:
    """A whole number as the float that the command line makes of it, for a field of `kind`; any other value as it is.

    >>> of_flag_type(2, float), of_flag_type(2, int), of_flag_type("2", float)
    (2.0, 2, '2')
    """
    return float(value) if kind is float and type(value) is int and abs(value) <= sys.float_info.max else value


def _load(path: str) -> dict[str, Any]:
    try:
        with storage.open_file(path, "rb") as file:
            return tomllib.load(file)
    except (OSError, ValueError, RecursionError) as error:  # ValueError: not UTF-8, not TOML, a number of 4,301 digits
        raise UsageError(f"expected a TOML file at {path}, got {quote(str(error))}") from error


def _own_table(table: Any, fields: Collection[str], command: str, path: str) -> dict[str, Any]:
    if not isinstance(table, dict):
        raise UsageError(f"expected a table [{command}] in {path}, got {command} = {quote(table)}")
    values = {key.replace("-", "_"): value for key, value in table.items()}
    for name in values:
        if name not in fields or name == "columns":
            raise _unknown(name, f"flags of {command} in [{command}]", path, fields)
    return values


def _checked(value: Any, hint: Any, field: dataclasses.Field[Any], path: str) -> Any:
    """The value as the field's type; UsageError if it is of another, or none of the field's choices."""
    kind = plain_type(hint)
    if field.metadata["by_commas"] and isinstance(value, list):
        value = _joined(value, field.name, path)
    value = of_flag_type(value, kind)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise UsageError(f"expected {kind.__name__} for {field.name} in {path}, got {quote(value)}")
    choices = field.metadata["choices"]
    if choices is not None and value not in choices:
        raise UsageError(f"expected one of {', '.join(choices)} for {field.name} in {path}, got {quote(value)}")
    return value


def _joined(values: list[Any], name: str, path: str) -> str:
    """The values as the command line takes them."""
    if not all(type(value) is int or (isinstance(value, str) and "," not in value) for value in values):
        raise UsageError(f"expected words without commas, or whole numbers, for {name} in {path}, got {quote(values)}")
    return ",".join(map(str, values))


def _unknown(name: str, expected: str, path: str, known: Collection[str]) -> UsageError:
    near = difflib.get_close_matches(name.strip("[]"), sorted(known), n=1)
    return UsageError(f"expected {expected}, got {quote(name)} in {path}" + (f": is it {near[0]}?" if near else ""))


def _commands() -> frozenset[str]:
    """Names of all commands, with `_`."""
    return frozenset(command.replace("-", "_") for command in COMMANDS)
