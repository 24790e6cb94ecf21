"""`itemsage sample-shop OUT`: writes a believable shop with pictures, text, engagements and planted faults."""

import argparse
import sys
import time
from collections.abc import Sequence
from datetime import date

from pipelines.jobs import exit_code, print_summary
from pipelines.progress import Progress
from schemas.errors import UsageError
from schemas.sample_shop import LAST_DAY, generate

_EXAMPLE = "itemsage sample-shop shop --items 2000 --seed 0"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="itemsage sample-shop",
        description="Write a sample shop: the same items, seed and end date give the same bytes.",
        epilog=f"example:\n  {_EXAMPLE}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("out", metavar="OUT", help="folder to write; must be empty or a sample shop")
    parser.add_argument("--items", type=int, default=2000, help="good items (default 2000)")
    parser.add_argument("--seed", type=int, default=0, help="another seed, another shop (default 0)")
    parser.add_argument("--end-date", default=LAST_DAY.isoformat(), help=f"last day of the log (default {LAST_DAY})")
    parser.add_argument("--workers", type=int, default=None, help="processes that render (default: the cores, up to 8)")
    flags = parser.parse_args(sys.argv[1:] if argv is None else list(argv))
    return exit_code(lambda: _run(flags))


def _run(flags: argparse.Namespace) -> None:
    started_s = time.monotonic()
    try:
        end_date = date.fromisoformat(flags.end_date)
    except ValueError as error:
        raise UsageError(f"expected --end-date YYYY-MM-DD, got {flags.end_date!r}") from error
    progress: list[Progress] = []
    try:
        counts = generate(
            flags.out,
            flags.items,
            flags.seed,
            end_date=end_date,
            num_workers=flags.workers,
            on_start=lambda total: progress.append(Progress("sample-shop", "pictures", total)),
            on_done=lambda count: progress[0].advance(count),
        )
    finally:
        for bar in progress:
            bar.close()
    print_summary("sample-shop", counts, started_s, flags.out)


if __name__ == "__main__":
    sys.exit(main())
