"""Beam parses the flags of a pipeline anew for each view of its options, and asks Python for the signature, the source
and the parameters of each method of each DoFn, again and again: more than half of what it takes to make a small
pipeline and run it. The suite runs thousands. It remembers them and what a pickle is once it is compressed, and does
without a stack for each type hint and without the exact size of what Beam caches; `make soak`, the engines and whoever
runs the jobs do not."""

import bz2
import copy
import functools
import inspect
import weakref
from argparse import Namespace
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any

import objsize
from apache_beam.internal import cloudpickle_pickler
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.worker import statecache
from apache_beam.transforms import core, userstate
from apache_beam.typehints.decorators import IOTypeHints

_Specs = tuple[set[Any], set[Any]]


def remember_flags_and_signatures() -> None:
    """From now on this process parses equal flags once and looks at each function once."""
    PipelineOptions.view_as = _remembered_views(PipelineOptions.view_as)  # type: ignore[method-assign]
    core.get_function_args_defaults = _remembered_arguments(core.get_function_args_defaults)
    core._check_fn_use_yield_and_return = _remembered_warnings(core._check_fn_use_yield_and_return)
    userstate.get_dofn_specs = _remembered_specs(userstate.get_dofn_specs)
    IOTypeHints._make_origin = classmethod(_origin_without_stack)  # type: ignore[assignment]
    statecache.get_deep_size = _size_of_what_is_cached
    cloudpickle_pickler.bz2 = _remembered_bz2()


def _remembered_views(view_as: Callable[..., Any]) -> Callable[..., Any]:
    parsed: dict[tuple[type, tuple[str, ...]], dict[str, Any]] = {}

    def remembered(self: PipelineOptions, cls: type[PipelineOptions]) -> PipelineOptions:
        if self._flags is None:  # those of the command line
            return view_as(self, cls)
        key = cls, tuple(self._flags)
        if key not in parsed:
            view = view_as(self, cls)
            parsed[key] = copy.deepcopy(vars(view._visible_options))
            return view
        view = cls.__new__(cls)
        own = {name: value if _is_plain(value) else copy.deepcopy(value) for name, value in parsed[key].items()}
        view._flags, view._visible_options = self._flags, Namespace(**own)
        for name, value in own.items():
            self._all_options.setdefault(name, value)
        view._all_options = self._all_options
        return view

    return remembered


def _is_plain(value: object) -> bool:
    """Whether nobody can change it."""
    return value is None or isinstance(value, str | int | float)


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


def _remembered_warnings(yields_and_returns: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """Beam reads a function's source for it; a function that it cannot read, it takes for one that does not."""
    found: dict[Any, bool] = {}

    def remembered(function: Any) -> bool:
        code = getattr(inspect.unwrap(function), "__code__", None)  # that of a wrapper tells nothing of what it wraps
        if code is None:
            return yields_and_returns(function)
        if code not in found:
            found[code] = yields_and_returns(function)
        return found[code]

    return remembered


def _remembered_specs(specs_of: Callable[[Any], _Specs]) -> Callable[[Any], _Specs]:
    """Only that a class keeps no state is remembered: of a wrapped function, its own arguments are looked at."""
    without_state: weakref.WeakSet[type] = weakref.WeakSet()

    def remembered(dofn: Any) -> _Specs:
        inspect_process = getattr(dofn, "_inspect_process", None)
        defaults = inspect_process()[1] if inspect_process else []
        if type(dofn) in without_state and not any(isinstance(default, core._DoFnParam) for default in defaults):
            return set(), set()
        found = specs_of(dofn)
        if found == (set(), set()):
            without_state.add(type(dofn))
        return found

    return functools.update_wrapper(remembered, specs_of)


_make_origin = IOTypeHints._make_origin


def _origin_without_stack(
    cls: type[IOTypeHints], bases: list[IOTypeHints], tb: bool = True, msg: Iterable[str] = ()
) -> list[str]:
    """What a message about types says of where they come from, but for the lines that were being run."""
    return _make_origin(bases, False, msg)


def _size_of_what_is_cached(*objects: Any) -> int:
    """What all modules hold is not gathered first, each time, to be left out: elements do not refer to it."""
    return objsize.get_deep_size(
        *objects,
        get_size_func=statecache._size_func,
        get_referents_func=statecache._get_referents_func,
        filter_func=statecache._filter_func,
        exclude_modules_globals=False,
    )


#: Pickles that are remembered, some kB each; then all are forgotten.
_MOST_PICKLES = 2_000


def _remembered_bz2() -> SimpleNamespace:
    """Each pickle is compressed once, and one of this process never decompressed: the bytes are those of bz2."""
    compressed: dict[bytes, bytes] = {}
    pickles: dict[bytes, bytes] = {}

    def compress(data: bytes, compresslevel: int) -> bytes:
        if data not in compressed:
            if len(compressed) >= _MOST_PICKLES:
                compressed.clear()
                pickles.clear()
            compressed[data] = bz2.compress(data, compresslevel)
            pickles[compressed[data]] = data
        return compressed[data]

    def decompress(data: bytes) -> bytes:
        return pickles.get(data) or bz2.decompress(data)

    return SimpleNamespace(compress=compress, decompress=decompress)
