"""What the suite remembers of Beam is what Beam would find."""

import bz2

import apache_beam as beam
import pytest
from apache_beam.coders import VarIntCoder
from apache_beam.options.pipeline_options import DebugOptions, DirectOptions, PipelineOptions, StandardOptions
from apache_beam.transforms import core, userstate
from apache_beam.transforms.userstate import ReadModifyWriteStateSpec
from cached_beam import (
    _remembered_arguments,
    _remembered_bz2,
    _remembered_specs,
    _remembered_views,
    _remembered_warnings,
)

from pipelines.run.counted import CountedDoFn

PLAIN_VIEW, PLAIN_ARGUMENTS = PipelineOptions.view_as, core.get_function_args_defaults
PLAIN_SPECS = userstate.get_dofn_specs
PLAIN_BOTH = core._check_fn_use_yield_and_return
SEEN = beam.DoFn.StateParam(ReadModifyWriteStateSpec("seen", VarIntCoder()))
FLAGS = ["--runner", "DirectRunner", "--direct_num_workers", "3", "--experiments", "a", "--experiments", "b"]


@pytest.mark.parametrize("view_as", [PLAIN_VIEW, _remembered_views(PLAIN_VIEW)])
def test_views_share_values_and_nothing_else(view_as):
    for _ in range(2):
        options = PipelineOptions(FLAGS)
        debug, direct = view_as(options, DebugOptions), view_as(options, DirectOptions)
        assert (direct.direct_num_workers, debug.experiments) == (3, ["a", "b"])
        assert view_as(options, StandardOptions).runner == "DirectRunner"
        debug.experiments.append("c")
        direct.direct_num_workers = 5
        assert view_as(options, DebugOptions).experiments == ["a", "b", "c"]
        assert view_as(options, DirectOptions).direct_num_workers == 5
        assert options.get_all_options()["experiments"] == ["a", "b", "c"]


@pytest.mark.parametrize("arguments_of", [PLAIN_ARGUMENTS, _remembered_arguments(PLAIN_ARGUMENTS)])
def test_arguments_are_those_of_the_function(arguments_of):
    class Add(beam.DoFn):
        def process(self, element, more=1):
            yield element + more

    for _ in range(2):
        assert arguments_of(Add().process) == (["element", "more"], [1])
        assert arguments_of(Add.process) == (["self", "element", "more"], [1])
        arguments, _ = arguments_of(Add.process)
        arguments.clear()  # what is given is the caller's own


@pytest.mark.parametrize("both", [PLAIN_BOTH, _remembered_warnings(PLAIN_BOTH)])
def test_what_yields_and_returns_is_told_of_each_wrapped_function(both):
    class Counted(CountedDoFn):
        def process(self, element):
            yield element

    class Both(CountedDoFn):
        def process(self, element):
            if element:
                return [element]
            yield element

    for _ in range(2):
        assert not both(Counted().process)
        assert both(Both().process)


@pytest.mark.parametrize("specs_of", [PLAIN_SPECS, _remembered_specs(PLAIN_SPECS)])
def test_state_is_that_of_the_class(specs_of):
    class Stateless(beam.DoFn):
        def process(self, element, more=1):
            yield element + more

    class Stateful(Stateless):
        def process(self, element, seen=SEEN):
            yield element

    for _ in range(2):
        assert specs_of(Stateless()) == (set(), set())
        assert specs_of(Stateful()) == ({SEEN.state_spec}, set())
        assert specs_of(core.CallableWrapperDoFn(print)) == (set(), set())


def test_pickles_are_compressed_and_read_as_bz2_does():
    remembered = _remembered_bz2()
    for pickle in (b"", b"a" * 1_000, b"b", b"a" * 1_000):
        plain = bz2.compress(pickle, 9)
        assert remembered.compress(pickle, compresslevel=9) == plain
        assert remembered.decompress(plain) == pickle
    assert remembered.decompress(bz2.compress(b"of another process", 9)) == b"of another process"
    with pytest.raises(OSError, match="Invalid data stream"):
        remembered.decompress(b"no such thing")
