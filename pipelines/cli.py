"""`itemsage COMMAND ...`: one word a job. Each job also runs alone as `python -m pipelines.<job>`."""

import difflib
import importlib
import sys
from collections.abc import Sequence

from pipelines.console.commands import COMMANDS
from pipelines.console.exit_codes import EXIT_USAGE
from schemas.quarantine import quote


def usage() -> str:
    """The list of commands."""
    lines = [f"  {name:<12} {text}" for name, (_, text) in COMMANDS.items()]
    return "usage: itemsage COMMAND [flags]      (itemsage COMMAND --help shows an example)\n\n" + "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments and arguments[0] in ("-h", "--help", "help"):
        print(usage())
        return 0
    if arguments == ["--version"]:
        from importlib.metadata import version  # a moment that all else need not wait for

        print(f"itemsage {version('itemsage')}")
        return 0
    if not arguments or arguments[0] not in COMMANDS:
        got = quote(arguments[0]) if arguments else "nothing"
        near = difflib.get_close_matches(arguments[0], COMMANDS, n=1) if arguments else []
        hint = f": is it {near[0]}?" if near else ""
        print(f"error: expected a command, got {got}{hint}\n\n{usage()}", file=sys.stderr)
        return EXIT_USAGE
    module = importlib.import_module(COMMANDS[arguments[0]][0])
    return module.main(arguments[1:])


if __name__ == "__main__":
    sys.exit(main())
