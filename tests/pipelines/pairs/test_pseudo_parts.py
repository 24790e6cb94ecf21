"""Which part a pseudo-query is in."""

import pyarrow as pa

from model.split.split import SplitConfig, TimeSpan, fit_split
from pipelines.pairs.distinct_pairs import DistillationRules, PairRules
from pipelines.pairs.text_pairs import text_pairs
from schemas.tables import TEXT_FIELDS

RULES = PairRules(
    run="",
    num_buckets=1,
    vocabulary_folder="",
    query_table_folder=None,
    has_pictures=False,
    pseudo_queries=4,
    typo_share=0.0,
    distillation=DistillationRules(),
    max_pairs_per_item=0,
    seed=0,
)


def test_all_spellings_of_a_pseudo_query_are_in_one_part() -> None:
    titles = [form.format(number) for number in range(200) for form in ("red shoe {}", "Red Shoe {}", "RED  shoe {}")]
    items = pa.table(
        {"item_id": [f"i{row}" for row in range(len(titles))]}
        | {name: pa.array(titles if name == "title" else [None] * len(titles), pa.string()) for name in TEXT_FIELDS}
    )
    pairs = text_pairs(items, RULES, fit_split(TimeSpan(), SplitConfig(kind="query_hash")))
    parts_of: dict[int, set[str]] = {}
    for pair in pairs.to_pylist():
        parts_of.setdefault(pair["query_id"], set()).add(pair["part"])
    assert len(parts_of) < len(pairs)
    assert {len(parts) for parts in parts_of.values()} == {1}
    assert set.union(*parts_of.values()) == {"train", "validation"}
