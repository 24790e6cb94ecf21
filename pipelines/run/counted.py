"""What the runner shows of every DoFn of the jobs, in Beam's own metrics: elements, bytes and time."""

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator
from time import perf_counter
from typing import Any

import apache_beam as beam
from apache_beam.metrics.metric import Metrics
from apache_beam.pvalue import TaggedOutput
from apache_beam.utils.windowed_value import WindowedValue

_Method = Callable[..., Iterator[Any]]


class CountedDoFn(beam.DoFn):
    """A DoFn that counts itself: its author writes `process`, and `finish_bundle` if it needs one, as of any DoFn.

    In the namespace of `metrics_namespace`: the counters `elements_in` (calls of `process`), `elements_out` (with and
    without a tag), `bytes_in` and `bytes_out` (num_bytes of them; absent where there are none), and the distribution
    `milliseconds`, of what each call spent in this DoFn, not in those that take its outputs. What is no full
    millisecond is added to the next call's. A call that raises adds to `elements_in` alone.

    Both methods yield, for outputs are counted as they are taken: TypeError for a `process` that returns them.
    """

    #: Of earlier calls, below a millisecond.
    _rest_s = 0.0

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name, counted in (("process", _counted_process), ("finish_bundle", _counted_finish_bundle)):
            method = cls.__dict__.get(name)
            if method is not None and not hasattr(method, "is_counted"):  # a class that is unpickled is counted already
                setattr(cls, name, counted(method))

    def metrics_namespace(self) -> str:
        """The module below `pipelines`, as in "pairs.count_pairs"."""
        return type(self).__module__.removeprefix("pipelines.")

    def _outputs(self, outputs: Iterable[Any], num_bytes_in: Callable[[], int]) -> Iterator[Any]:
        """The outputs of a call, one by one as they are taken; counts them after the last."""
        num_out = num_bytes_out = 0
        seconds, since = self._rest_s, perf_counter()
        for output in outputs:
            seconds += perf_counter() - since
            num_out += 1
            num_bytes_out += num_bytes(output)
            yield output
            since = perf_counter()
        seconds += perf_counter() - since
        milliseconds = int(seconds * 1_000)
        self._rest_s = seconds - milliseconds / 1_000
        namespace = self.metrics_namespace()
        _distribution(namespace, "milliseconds").update(milliseconds)
        for name, number in (("elements_out", num_out), ("bytes_in", num_bytes_in()), ("bytes_out", num_bytes_out)):
            if number:
                _counter(namespace, name).inc(number)


def _counted_process(process: _Method) -> _Method:
    if not inspect.isgeneratorfunction(process):
        raise TypeError(f"expected a `process` that yields its outputs, got {process.__qualname__}: yield them")

    @functools.wraps(process)  # Beam reads arguments, type hints and source of what is wrapped
    def counted(self: CountedDoFn, element: Any, *args: Any, **kwargs: Any) -> Iterator[Any]:
        _counter(self.metrics_namespace(), "elements_in").inc()
        element, num_bytes_in = _read_once(element)
        return self._outputs(process(self, element, *args, **kwargs), num_bytes_in)

    counted.is_counted = True  # type: ignore[attr-defined]
    return counted


def _counted_finish_bundle(finish_bundle: _Method) -> _Method:
    if not inspect.isgeneratorfunction(finish_bundle):
        return finish_bundle  # has no outputs

    @functools.wraps(finish_bundle)
    def counted(self: CountedDoFn) -> Iterator[Any]:
        return self._outputs(finish_bundle(self), int)

    counted.is_counted = True  # type: ignore[attr-defined]
    return counted


@functools.cache
def _counter(namespace: str, name: str) -> Metrics.DelegatingCounter:
    """One object a metric: to make one takes longer than to count."""
    return Metrics.counter(namespace, name)


@functools.cache
def _distribution(namespace: str, name: str) -> Metrics.DelegatingDistribution:
    return Metrics.distribution(namespace, name)


def num_bytes(element: Any) -> int:
    """How many bytes an element holds: those of `bytes`, or what stands at the second place of a (key, value) tuple,
    `bytes` or tuples and lists of them. The first member of a tuple or list tells of the others whether they are bytes.

    >>> num_bytes(b"abc"), num_bytes((7, b"abc")), num_bytes((7, [b"abc", b"d"])), num_bytes((7, [(b"abc", b"d")]))
    (3, 3, 4, 4)
    >>> num_bytes("abc"), num_bytes(("abc", 7)), num_bytes((7, ("abc", b"d")))
    (0, 0, 0)
    """
    kind = type(element)
    if kind is tuple and len(element) > 1:
        return _bytes_within(element[1])
    if kind is TaggedOutput or kind is WindowedValue:
        return num_bytes(element.value)
    return _bytes_within(element)


def _bytes_within(value: Any) -> int:
    kind = type(value)
    if kind is bytes:
        return len(value)
    if (kind is list or kind is tuple) and value and (type(value[0]) is bytes or type(value[0]) is tuple):
        return sum(map(_bytes_within, value))
    return 0


def _read_once(element: Any) -> tuple[Any, Callable[[], int]]:
    """The element, and what tells after it was read how many bytes it holds: values that a runner reads from its state
    as they are asked for, an iterable of unknown length, are not read for that alone."""
    if type(element) is tuple and len(element) == 2:
        key, values = element
        if hasattr(values, "__iter__") and not hasattr(values, "__len__"):
            counted = _CountedValues(values)
            return (key, counted), lambda: counted.num_bytes
    return element, functools.partial(num_bytes, element)


class _CountedValues:
    """Iterates over values; num_bytes is what they held in the last pass that read them all."""

    def __init__(self, values: Iterable[Any]):
        self.values, self.num_bytes = values, 0

    def __iter__(self) -> Iterator[Any]:
        number = 0
        for value in self.values:
            number += _bytes_within(value)
            yield value
        self.num_bytes = number
