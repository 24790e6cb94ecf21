"""Shops so small that chance leaves a part of the split empty: they train all the same, and are told."""

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from train_runs import DATE, TINY, training_folder

from model.split.split import Split, SplitConfig, no_engagements
from pipelines import cli
from pipelines.pairs.distinct_pairs import PAIRS, DistillationRules, PairRules
from pipelines.pairs.few_pairs import check_pairs, first_pseudo_queries, validating_queries, with_validating
from pipelines.pairs.text_pairs import text_pairs
from pipelines.run.units import read_stage_manifest
from schemas.errors import ThresholdError
from schemas.tables import DISTILLATION, PSEUDO_TASK, TEXT_FIELDS

pytestmark = pytest.mark.medium

NAMES = (
    "oak table",
    "pine chair",
    "brass lamp",
    "wool rug",
    "linen curtain",
    "steel shelf",
    "glass vase",
    "cork board",
)
NAMES += ("clay pot", "silk pillow")
ADDED = {"train": [*TINY, "--pseudo-queries", "2"]}


def write_shop(log: str = "") -> None:
    """p.csv of ten items, and shop.toml as `itemsage init` writes it, with a log if one is given."""
    Path("p.csv").write_text("sku,name\n" + "".join(f"{number:06},{name}\n" for number, name in enumerate(NAMES)))
    assert cli.main(["init", "p.csv"]) == 0
    if log:
        Path("log.csv").write_text(log)
        Path("shop.toml").write_text('engagements = "log.csv"\n' + Path("shop.toml").read_text())


def called(command: str, *flags: str) -> int:
    return cli.main([command, "--config", "shop.toml", "--date", DATE, *ADDED.get(command, ()), *flags])


@pytest.fixture(autouse=True)
def working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def by_hash() -> pa.Table:
    rules = PairRules(
        run="",
        num_buckets=1,
        vocabulary_folder="",
        query_table_folder=None,
        has_pictures=False,
        pseudo_queries=2,
        typo_share=0.15,
        distillation=DistillationRules(),
        max_pairs_per_item=0,
        seed=0,
    )
    ids = pa.array([f"{number:06}" for number in range(len(NAMES))])
    items = pa.table(
        {"item_id": ids}
        | {name: pa.array(NAMES if name == "title" else [None] * len(NAMES), pa.string()) for name in TEXT_FIELDS}
    )
    return text_pairs(items, rules, no_engagements(SplitConfig()))


def test_ten_items_without_a_log_train_though_no_query_validates_by_its_hash(tmp_path, capsys):
    assert set(by_hash()["part"].to_pylist()) == {"train"}
    write_shop()
    assert called("train") == 0
    assert "3 pseudo-queries validate" in capsys.readouterr().out
    counts = read_stage_manifest(str(training_folder(tmp_path)), "pairs")["counts"]
    assert counts[f"pairs:validation:{PSEUDO_TASK}"] == 3
    assert counts[f"pairs:train:{PSEUDO_TASK}"] == len(by_hash()) - 3
    assert called("daily") == 0
    capsys.readouterr()
    assert cli.main(["search", "--config", "shop.toml", "--text", "wool rug", "--top", "1"]) == 0
    assert "000003" in capsys.readouterr().out


def test_a_log_of_one_pair_trains_and_the_user_is_told(tmp_path, capsys):
    head = "timestamp,user_id,session_id,surface,query,item_id,action\n"
    write_shop(head + "2026-06-20T10:00:00Z,u,s,search,something to sit on,000001,click\n")
    assert called("train") == 0
    assert "the log has 1 pair, too few to split, and none of it is in " in capsys.readouterr().out


def pairs_of(parts: list[tuple[int, str, str]]) -> pa.Table:
    rows = [
        {"task": task, "query_id": number, "query": f"q{number}", "item_id": "i", "part": part, "count": 1}
        for number, task, part in parts
    ]
    return pa.Table.from_pylist(rows, schema=PAIRS)


def test_the_smallest_hashes_validate_and_nothing_else_is_moved():
    split = no_engagements(SplitConfig())
    pairs = pairs_of([(number, PSEUDO_TASK, "train") for number in range(-4, 6)] + [(-9, "search/click", "train")])
    firsts = first_pseudo_queries(pairs)
    validating = validating_queries(split, {f"train:{PSEUDO_TASK}": 10}, firsts)
    assert validating == [-4, -3, -2]
    moved = with_validating(pairs, [*validating, -9])
    assert {pair["query_id"]: pair["part"] for pair in moved.to_pylist()} == {
        number: "validation" if number in validating else "train" for number in (-9, *range(-4, 6))
    }
    assert validating_queries(no_engagements(SplitConfig(validation_fraction=0)), {}, firsts) == []
    distilled = pairs_of([(number, PSEUDO_TASK, DISTILLATION) for number in (-4, 20)])
    other = distilled.set_column(3, PAIRS.field("item_id"), pa.array(["j", "j"]))
    kept = with_validating(pa.concat_tables([pairs, distilled, other]), validating)
    assert kept.filter(pc.equal(kept["part"], DISTILLATION))["item_id"].to_pylist() == ["j", "j"]
    assert validating_queries(split, {}, [7]) == []  # the only one trains


def test_an_empty_part_is_an_error_where_it_is_no_chance_of_few_pairs():
    split = Split(kind="query_item", has_validation=True, has_test=True)
    few = {f"train:{PSEUDO_TASK}": 9, f"validation:{PSEUDO_TASK}": 1, "train:search/click": 49}
    check_pairs(split, few)
    for refused in (
        few | {"train:search/click": 50},
        {name: count for name, count in few.items() if name != f"train:{PSEUDO_TASK}"},
    ):
        with pytest.raises(ThresholdError, match="none in test"):
            check_pairs(split, refused)
