"""Train, daily and evaluate on public data sets, each from its tables to a published, searchable run.

    python benchmarks/real_data.py grocery --data DATA --out OUT     (also magento, chorus, esci, complete_journey)

DATA holds the data sets as catalogue, engagement and judgement tables; complete_journey comes from its Python package.
What is finished in OUT is not done again. Hyperparameters are the defaults of `itemsage train` but for PRESETS,
and were not chosen on the test parts.
"""

import argparse
import time
from pathlib import Path
from typing import Any

from pipelines import convert_complete_journey
from pipelines.console.jobs import beam_options
from pipelines.daily import job as daily
from pipelines.evaluate import job as evaluate
from pipelines.search import format_results
from pipelines.serving.searcher import Searcher
from pipelines.train import job as train

#: Flags of `train` that differ from the defaults, and a few searches to show.
PRESETS: dict[str, dict[str, Any]] = {
    "grocery": {
        "train": {
            "image_encoder": "efficientnet_lite0", "date": "2020-01-02",
            "item_test_fraction": 0.0, "item_validation_fraction": 0.0,  # every product trains: photos are held out
        },
        "searches": [],
    },
    "magento": {
        "train": {"image_encoder": "efficientnet_lite0", "date": "2020-01-02", "pseudo_queries": 2},
        "searches": ["yoga pants", "waterproof jacket", "duffle bag"],
    },
    "chorus": {
        "train": {"image_encoder": "none", "date": "2020-01-02", "pseudo_queries": 2, "epochs": 2},
        "searches": ["laptop", "laptops", "pro controller", "usb fan", "wireless mouse", "ink cartridge"],
    },
    "esci": {
        "train": {"image_encoder": "none", "date": "2020-01-02", "pseudo_queries": 2, "epochs": 2},
        "searches": ["water bottle", "phone case"],
    },
    "complete_journey": {
        "train": {
            "image_encoder": "none", "date": "2017-12-31", "test_fraction": 0.0, "epochs": 0.03, "batch_size": 256,
            "pseudo_queries": 4,
        },
        "searches": ["whole milk", "frozen pizza", "shampoo"],
    },
}  # fmt: skip


def inputs_of(name: str, data: Path, out: Path) -> tuple[dict[str, str], str]:
    """Flags of `train` that name the input, and the engagements to evaluate on."""
    if name != "complete_journey":
        folder = data / name
        images = folder / "images" if (folder / "images").is_dir() else folder
        given = {"catalog": f"{folder}/catalog.parquet", "image_root": str(images)}
        log = folder / "engagements.parquet"
        return (given | {"engagements": str(log)} if log.is_file() else given), str(log)
    if not (out / "data" / "catalog.parquet").is_file():
        convert_complete_journey.main([str(out / "data")])
    folder = out / "data"
    given = {"catalog": f"{folder}/catalog.parquet", "engagements": f"{folder}/training_engagements.parquet"}
    return given | {"image_root": str(folder)}, given["engagements"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=PRESETS)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--text-encoder", help="as of `itemsage train`")
    arguments = parser.parse_args()
    started_s = time.monotonic()
    preset, store = PRESETS[arguments.name], str(arguments.out / "store")
    given, log = inputs_of(arguments.name, arguments.data, arguments.out)
    chosen = {**preset["train"], "text_encoder": arguments.text_encoder}
    train.run(train.TrainConfig(**given, store=store, **chosen), beam_options([]))
    date = preset["train"]["date"]
    day = {name: given[name] for name in ("catalog", "image_root")}
    daily.run(daily.DailyConfig(**day, store=store, date=date), beam_options([]))
    judgements = arguments.data / arguments.name / "judgements.parquet"
    engagements = {"engagements": log, "image_root": given["image_root"]} if Path(log).is_file() else {}
    if engagements and arguments.name != "complete_journey":
        evaluate.run(evaluate.EvaluateConfig(store=store, **engagements))
    if judgements.is_file():
        evaluate.run(evaluate.EvaluateConfig(store=store, judgements=str(judgements), **engagements))
    searcher = Searcher(store)
    for text in preset["searches"]:
        print(f"\n{text}\n{format_results(searcher.by_text([text], 5)[0])}")
    print(f"\n{arguments.name}: {time.monotonic() - started_s:.0f} s")


if __name__ == "__main__":
    main()
