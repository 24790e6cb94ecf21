"""Why an item was computed or reused: what differs between yesterday's and today's run of it. Pure functions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from model.text.tokenizer import bigrams, character_trigrams, normalize, words
from model.text.vocabulary import KINDS, Vocabulary
from pipelines.operations.explain.item_in_run import ItemInRun, PictureFacts
from schemas.quarantine import quote
from schemas.records.tfrecords import ItemFeatures
from schemas.tables import TEXT_FIELDS

NEW, GONE, CONTENT, TOUCHED, BROKEN, MENDED = "new", "gone", "content", "touched", "broken", "mended"
#: Differences of a picture that change the record; a touched file is read again, and found to be the same.
_MATTERS = (NEW, GONE, CONTENT, BROKEN, MENDED)
_SHOWN_TOKENS = 8


@dataclass(frozen=True)
class Verdict:
    """outcome: reused, computed or absent; reasons: why, in the order in which they are decided."""

    outcome: str
    reasons: list[str]


@dataclass(frozen=True, kw_only=True)
class FieldTokens:
    """Tokens of one text field. first: known ones as text (of a hashed vocabulary the words, which it has not kept)."""

    field: str
    known: int
    unknown: int
    first: list[str]
    unknown_words: list[str]


def differing_fields(today: dict[str, Any] | None, yesterday: dict[str, Any] | None) -> list[str]:
    """Text fields whose value differs; none unless both rows are there."""
    if today is None or yesterday is None:
        return []
    return [name for name in TEXT_FIELDS if today.get(name) != yesterday.get(name)]


def picture_changes(today: Sequence[PictureFacts], yesterday: Sequence[PictureFacts]) -> dict[str, str]:
    """URI -> how it differs: NEW and GONE of the list, CONTENT, TOUCHED (another time or size, the same content),
    BROKEN and MENDED. Pictures that are the same have no entry."""
    now, before = {p.uri: p for p in today}, {p.uri: p for p in yesterday}
    changes = {uri: how for uri, picture in now.items() if (how := _change(picture, before.get(uri))) is not None}
    return changes | {uri: GONE for uri in before if uri not in now}


def _change(now: PictureFacts, before: PictureFacts | None) -> str | None:
    if before is None:
        return NEW
    if (now.reason is None) != (before.reason is None):
        return MENDED if now.reason is None else BROKEN
    if now.sha256 != before.sha256:
        return CONTENT
    known = now.modified_ns is not None and before.modified_ns is not None
    return TOUCHED if known and (now.bytes, now.modified_ns) != (before.bytes, before.modified_ns) else None


def verdict_of(today: ItemInRun, yesterday: ItemInRun | None) -> Verdict:
    """Why the item's vector was computed or reused, or why it has none."""
    if today.vector_D is None:
        reasons = [f"{row['reason']}: got {row['got']}" for row in today.rejections if row["level"] == "row"]
        return Verdict("absent", reasons or ["the run has no such item" if today.row is None else "it has no vector"])
    if yesterday is None:
        return Verdict("computed", ["there is no run before to take it over from"])
    if yesterday.vector_D is None:
        return Verdict("computed", ["new: it had no vector yesterday"])
    reasons = [
        f"{what}: {quote(yesterday.ids.get(name))} became {quote(today.ids.get(name))}"
        for name, what in (
            ("model_id", "new model"),
            ("vocabulary_id", "new vocabulary"),
            ("encoder_id", "new image encoder"),
        )
        if today.ids.get(name) != yesterday.ids.get(name)
    ]
    if fields := differing_fields(today.row, yesterday.row):
        reasons.append(f"text changed: {', '.join(fields)}")
    pictures = picture_changes(today.pictures, yesterday.pictures)
    reasons += [f"picture {how}: {quote(uri)}" for uri, how in pictures.items() if how in _MATTERS]
    if not reasons and [p.uri for p in today.pictures] != [p.uri for p in yesterday.pictures]:
        reasons.append("its pictures are in another order")
    same_record = today.payload == yesterday.payload and today.payload is not None
    if same_record and today.ids.get("model_id") == yesterday.ids.get("model_id"):
        if today.features_hash is None or today.features_hash != yesterday.features_hash:
            return Verdict("computed", ["its record is yesterday's, but there are no fingerprints that say so"])
        return Verdict("reused", ["its feature record and the model are yesterday's", *_harmless(reasons)])
    return Verdict("computed", reasons or ["its feature record is another than yesterday's, its row is not"])


def _harmless(reasons: list[str]) -> list[str]:
    return [f"without effect on the record: {reason}" for reason in reasons]


def tokens_of(row: dict[str, Any], record: ItemFeatures, vocabulary: Vocabulary) -> list[FieldTokens]:
    """Known and unknown tokens of each field that has text."""
    found = []
    for number, name in enumerate(TEXT_FIELDS):
        if not row.get(name):
            continue
        ids = record.token_ids[record.token_offsets[number] : record.token_offsets[number + 1]].tolist()
        text = normalize(row[name])
        field_words = words(text)
        total = len(field_words) + len(bigrams(field_words)) + len(character_trigrams(text))
        hashed = vocabulary.mode == "hashing"
        known = field_words if hashed else token_texts(vocabulary, ids)
        unknown_words = [] if hashed else [word for word in dict.fromkeys(field_words) if word not in set(known)]
        found.append(
            FieldTokens(
                field=name,
                known=len(ids),
                unknown=total - len(ids),
                first=known[:_SHOWN_TOKENS],
                unknown_words=unknown_words[:_SHOWN_TOKENS],
            )
        )
    return found


def token_texts(vocabulary: Vocabulary, ids: Sequence[int]) -> list[str]:
    """The tokens of ids of a vocabulary that keeps them: a kind's rows follow its unused first id (see
    model.text.vocabulary)."""
    rows = []
    for token_id in ids:
        base = row = 0
        for kind in KINDS:
            size = vocabulary.sizes[kind]
            if base < token_id <= base + size:
                rows.append(row + token_id - base - 1)
                break
            base, row = base + size + 1, row + size
    texts: list[str] = vocabulary.tokens["token"].take(pa.array(rows, pa.int64())).to_pylist()
    return texts
