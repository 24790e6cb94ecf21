"""`itemsage COMMAND ...`: one word a job. Each job also runs alone as `python -m pipelines.<job>`."""

import importlib
import sys
from collections.abc import Sequence

from pipelines.jobs import EXIT_USAGE

#: command -> (module, what it does); in the order of the flow.
COMMANDS = {
    "demo": ("pipelines.demo", "sample shop, training, a daily run and a few searches, in one go"),
    "sample-shop": ("pipelines.sample_shop", "make a believable shop with pictures, text and engagements"),
    "train": ("pipelines.train", "catalogue + engagements -> a model in the store"),
    "daily": ("pipelines.daily", "catalogue -> published embeddings and index, with the store's model"),
    "search": ("pipelines.search", "search the published run by text, picture or item"),
    "evaluate": ("pipelines.evaluate", "Recall@10 on engagements, nDCG@10 on judgements, beside baselines"),
    "path": ("pipelines.path", "print a folder of the published run"),
    "ingest": ("pipelines.ingest", "stage: catalogue -> items, validated and bucketed"),
    "vocabulary": ("pipelines.vocabulary", "stage: items -> vocabulary"),
    "features": ("pipelines.features", "stage: items -> picture vectors and token ids"),
    "pairs": ("pipelines.pairs", "stage: engagements + features -> training pairs"),
    "embed": ("pipelines.embed", "stage: features + model -> unit vectors"),
    "index": ("pipelines.index", "stage: embeddings -> Annoy index with measured recall"),
    "publish": ("pipelines.publish", "stage: check a run and make it the one that readers see"),
}


def usage() -> str:
    """The list of commands."""
    lines = [f"  {name:<12} {text}" for name, (_, text) in COMMANDS.items()]
    return "usage: itemsage COMMAND [flags]      (itemsage COMMAND --help shows an example)\n\n" + "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments and arguments[0] in ("-h", "--help", "help"):
        print(usage())
        return 0
    if not arguments or arguments[0] not in COMMANDS:
        got = arguments[0] if arguments else "nothing"
        print(f"error: expected a command, got {got!r}\n\n{usage()}", file=sys.stderr)
        return EXIT_USAGE
    module = importlib.import_module(COMMANDS[arguments[0]][0])
    return module.main(arguments[1:])


if __name__ == "__main__":
    sys.exit(main())
