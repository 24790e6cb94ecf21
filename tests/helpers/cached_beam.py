"""Beam parses the flags of a pipeline anew for each view of its options, and asks Python for the signature of each
method of each DoFn, again and again: nearly half of what it takes to make a small pipeline and run it. The suite runs
thousands. It remembers both; `make soak`, the engines and whoever runs the jobs do not."""

import copy
import weakref
from argparse import Namespace
from collections.abc import Callable
from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.transforms import core


def remember_flags_and_signatures() -> None:
    """From now on this process parses equal flags once and looks at each function once."""
    PipelineOptions.view_as = _remembered_views(PipelineOptions.view_as)  # type: ignore[method-assign]
    core.get_function_args_defaults = _remembered_arguments(core.get_function_args_defaults)


def _remembered_views(view_as: Callable[..., Any]) -> Callable[..., Any]:
    parsed: dict[tuple[type, tuple[str, ...]], Namespace] = {}

    def remembered(self: PipelineOptions, cls: type[PipelineOptions]) -> PipelineOptions:
        if self._flags is None:  # those of the command line
            return view_as(self, cls)
        key = cls, tuple(self._flags)
        if key not in parsed:
            view = view_as(self, cls)
            parsed[key] = copy.deepcopy(view._visible_options)
            return view
        view = cls.__new__(cls)
        view._flags, view._visible_options = self._flags, copy.deepcopy(parsed[key])
        for name, value in vars(view._visible_options).items():
            self._all_options.setdefault(name, value)
        view._all_options = self._all_options
        return view

    return remembered


def _remembered_arguments(arguments_of: Callable[..., Any]) -> Callable[..., Any]:
    found: weakref.WeakKeyDictionary[Any, dict[bool, Any]] = weakref.WeakKeyDictionary()

    def remembered(function: Any) -> Any:
        plain = getattr(function, "__func__", function)
        try:
            own = found.setdefault(plain, {})
        except TypeError:  # of a callable that cannot be a key
            return arguments_of(function)
        if (is_bound := plain is not function) not in own:
            own[is_bound] = arguments_of(function)
        arguments, defaults = own[is_bound]
        return list(arguments), list(defaults)

    return remembered
