"""`itemsage sample-shop OUT`: writes a believable shop with pictures, text, engagements and planted faults."""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from pipelines.console.jobs import flag, main_of_alone, print_summary
from pipelines.console.progress import Progress
from schemas.errors import UsageError
from schemas.sample_shop import LAST_DAY, generate

EXAMPLE = "itemsage sample-shop shop --items 2000 --seed 0"


@dataclass(frozen=True, kw_only=True)
class SampleShopConfig:
    """Writes a sample shop: the same items, seed and end date give the same bytes."""

    out: str = flag(path=True, help="folder to write; must be empty or a sample shop", positional=True)
    items: int = flag(default=2000, help="good items")
    seed: int = flag(default=0, help="another seed, another shop")
    end_date: str = flag(default=LAST_DAY.isoformat(), help="last day of the log")
    workers: int | None = flag(default=None, help="processes that render (default: the cores, up to 8)")


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of the job; returns its exit code."""
    return main_of_alone(SampleShopConfig, run, argv, "itemsage sample-shop", EXAMPLE)


def run(config: SampleShopConfig) -> dict[str, int]:
    """Writes the shop and returns its counts (see schemas.sample_shop.generate). Raises UsageError for a wrong call."""
    started_s = time.monotonic()
    try:
        end_date = date.fromisoformat(config.end_date)
    except ValueError as error:
        raise UsageError(f"expected --end-date YYYY-MM-DD, got {config.end_date!r}") from error
    progress: list[Progress] = []
    try:
        counts = generate(
            config.out,
            config.items,
            config.seed,
            end_date=end_date,
            num_workers=config.workers,
            on_start=lambda total: progress.append(Progress("sample-shop", "pictures", total)),
            on_done=lambda count: progress[0].advance(count),
        )
    finally:
        for bar in progress:
            bar.close()
    print_summary("sample-shop", counts, started_s, config.out)
    return counts


if __name__ == "__main__":
    sys.exit(main())
