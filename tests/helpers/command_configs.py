"""Every command's config, for tests that walk all flags."""

import dataclasses
import importlib

from pipelines.console.commands import COMMANDS
from pipelines.console.jobs import flag_name

#: Command -> module; also what is no command of `itemsage` and runs as a module alone.
MODULES = {command: module for command, (module, _) in COMMANDS.items()} | {
    "convert_complete_journey": "pipelines.convert_complete_journey"
}


def config_of(module_name: str) -> type | None:
    """The config dataclass that a job module's `main` parses; None for one without."""
    module = importlib.import_module(module_name)
    wanted = module_name.removesuffix(".job").split(".")[-1].replace("_", "") + "config"
    return next((value for name, value in vars(module).items() if name.lower() == wanted), None)


def configs() -> dict[str, type]:
    """Command -> config dataclass, of those that have one."""
    found = {command: config_of(module) for command, module in MODULES.items()}
    return {command: config for command, config in found.items() if config is not None}


def flags() -> dict[str, dict[str, str]]:
    """command -> flag (`OUT` if it is positional) -> default, "required" where there is none."""
    found = {}
    for command, config in configs().items():
        found[command] = {
            flag_name(field): "required"
            if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
            else str(field.default)
            for field in dataclasses.fields(config)
            if field.name != "columns"
        }
    return found
