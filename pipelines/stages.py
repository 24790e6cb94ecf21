"""The stages of a run, a line each in the order of the flow: what others must know of a stage without its code.

What a stage does, and what must hold of it, is a pipelines.run.stage.Stage in its own folder. Commands, readers and
checks loop over this list. It imports nothing that takes a moment: `itemsage path` asks it.
"""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from schemas.errors import UsageError
from schemas.quarantine import quote

if TYPE_CHECKING:
    from pipelines.run.stage import Stage


def always(_: Any) -> bool:
    """Of a stage that a call has whatever it is asked."""
    return True


def never(_: Any) -> bool:
    """Of a stage that a call does not have."""
    return False


def with_log(config: Any) -> bool:
    """Whether a call is given engagements."""
    return config.engagements is not None


def with_users(config: Any) -> bool:
    """Whether a day's run has users."""
    return with_log(config) and bool(config.users)


def with_unified(config: Any) -> bool:
    """Whether a day's run makes unified vectors."""
    return bool(config.unify)


#: The sources of item vectors that learn from clickstream, and those that learn from the catalogue and leave a model
#: behind, by which new items get vectors too; each is a stage of its name.
CLICKSTREAM = ("prod2vec", "prodsi2vec", "deepwalk_prod2vec", "deepwalk_prodsi2vec", "bpr")
CONTENT = ("dae", "siamese")
SOURCES = (*CLICKSTREAM, *CONTENT)
#: The sources that may learn from the stage `lifetimes`.
OF_LIFETIMES = frozenset(("prod2vec", "prodsi2vec"))
#: The stages that read the log for sources.
FROM_LOG = frozenset(("sequences", "lifetimes", "interactions"))


def named_sources(text: str) -> tuple[str, ...]:
    """The sources that `--sources` names, in the order of the flow, each once. Raises UsageError for another name.

    >>> named_sources("bpr, prod2vec"), named_sources("")
    (('prod2vec', 'bpr'), ())
    """
    given = {name.strip() for name in text.split(",")} - {""}
    if others := sorted(given - set(SOURCES)):
        raise UsageError(f"expected --sources of {', '.join(SOURCES)}, got {', '.join(map(quote, others))}")
    return tuple(name for name in SOURCES if name in given)


def require_engagements(names: tuple[str, ...], engagements: str | None) -> None:
    """Raises UsageError if one of the sources learns from a log that is not given."""
    if engagements is None and (learning := [name for name in names if name in CLICKSTREAM]):
        raise UsageError(
            f"expected --engagements for --sources {','.join(learning)}, got none: they learn from clickstream"
        )


@dataclass(frozen=True)
class ForSources:
    """Of a stage that a call has if it is asked for one of these sources, and for the flag `also`, if one is named."""

    names: tuple[str, ...]
    also: str = ""

    def __call__(self, config: Any) -> bool:
        is_asked = not self.also or getattr(config, self.also, False)
        return is_asked and not set(self.names).isdisjoint(named_sources(config.sources))


@dataclass(frozen=True, kw_only=True)
class StageLine:
    """name: of its manifest and its units. place: of its Stage, `module:class`. command: of `itemsage`, "" for a stage
    that is none; does: what that says of it. needs: the stages that it reads. published: the folders of a run that
    readers read; folders: its others. day, training: whether a config's run has it. stops: a run ends after it if too
    much was rejected. gate: of a published stage, the gate that its problems fail, if not one of its name. optional:
    the ids of a day's runs that do not have it do not know of it."""

    name: str
    place: str
    does: str
    command: str = ""
    needs: tuple[str, ...] = ()
    published: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    day: Callable[[Any], bool] = never
    training: Callable[[Any], bool] = never
    stops: bool = False
    gate: str = ""
    optional: bool = False

    @property
    def called(self) -> str:
        """What people call it."""
        return self.command or self.name

    @property
    def judged_by(self) -> str:
        """The gate that its problems fail."""
        return self.gate or self.name

    @property
    def module(self) -> str:
        """The module of its Stage and its command."""
        return self.place.partition(":")[0]

    def load(self) -> "type[Stage]":
        """Its Stage, imported now."""
        found: type[Stage] = getattr(importlib.import_module(self.module), self.place.partition(":")[2])
        return found


_SEQUENCES = ForSources(("prod2vec", "prodsi2vec", "deepwalk_prod2vec", "deepwalk_prodsi2vec"))
_WALKS = ForSources(("deepwalk_prod2vec", "deepwalk_prodsi2vec"))

# fmt: off
STAGES: tuple[StageLine, ...] = (
    StageLine(name="items", place="pipelines.ingest.job:Ingest", command="ingest",
              does="catalogue -> items, validated and bucketed", folders=("items", "pictures"),
              day=always, training=always, stops=True),
    StageLine(name="log", place="pipelines.log.engagement_log:Log", does="engagements, read and judged",
              needs=("items",), day=with_log, training=with_log, stops=True),
    StageLine(name="vocabulary", place="pipelines.vocabulary.job:MakeVocabulary", command="vocabulary",
              does="items -> vocabulary", needs=("items",), folders=("vocabulary",), training=always),
    StageLine(name="features", place="pipelines.features.job:Features", command="features",
              does="items -> picture vectors and token ids", needs=("items",), folders=("features", "fingerprints"),
              day=always, training=always, stops=True),
    StageLine(name="pairs", place="pipelines.pairs.job:Pairs", command="pairs",
              does="engagements + features -> training pairs", needs=("items", "log", "vocabulary", "features"),
              folders=("pairs", "query_table"), training=always),
    StageLine(name="sequences", place="pipelines.sources.sequences:Sequences",
              does="engagements -> items engaged with in a session", needs=("items", "log"), folders=("sequences",),
              training=_SEQUENCES),
    StageLine(name="lifetimes", place="pipelines.sources.sequences:Lifetimes",
              does="engagements -> items that a user has bought or put into a cart", needs=("items", "log"),
              folders=("lifetimes",), training=ForSources(tuple(sorted(OF_LIFETIMES)), also="lifetimes")),
    StageLine(name="interactions", place="pipelines.sources.sequences:Interactions",
              does="engagements -> users and their items", needs=("items", "log"), folders=("interactions",),
              training=ForSources(("bpr",))),
    StageLine(name="co_engagements", place="pipelines.sources.co_engagements:CoEngagements",
              does="sequences -> graph of items engaged with together", needs=("sequences",),
              folders=("co_engagements",), training=_WALKS),
    StageLine(name="walks", place="pipelines.sources.walks:Walks", does="co_engagements -> random walks over items",
              needs=("co_engagements",), folders=("walks",), training=_WALKS),
    StageLine(name="prod2vec", place="pipelines.sources.clickstream:Prod2Vec",
              does="sequences -> item vectors by skip-gram", needs=("sequences",), folders=("prod2vec",),
              training=ForSources(("prod2vec",))),
    StageLine(name="prodsi2vec", place="pipelines.sources.clickstream:ProdSI2Vec",
              does="sequences + attributes of items -> item vectors by skip-gram", needs=("items", "sequences"),
              folders=("prodsi2vec",), training=ForSources(("prodsi2vec",))),
    StageLine(name="deepwalk_prod2vec", place="pipelines.sources.clickstream:DeepWalkProd2Vec",
              does="walks -> item vectors by skip-gram", needs=("co_engagements", "walks"),
              folders=("deepwalk_prod2vec",), training=ForSources(("deepwalk_prod2vec",))),
    StageLine(name="deepwalk_prodsi2vec", place="pipelines.sources.clickstream:DeepWalkProdSI2Vec",
              does="walks + attributes of items -> item vectors by skip-gram",
              needs=("items", "co_engagements", "walks"), folders=("deepwalk_prodsi2vec",),
              training=ForSources(("deepwalk_prodsi2vec",))),
    StageLine(name="bpr", place="pipelines.sources.clickstream:Bpr",
              does="interactions -> item vectors by matrix factorisation (BPR-MF)", needs=("interactions",),
              folders=("bpr",), training=ForSources(("bpr",))),
    StageLine(name="dae", place="pipelines.sources.content:Dae",
              does="attributes of items -> item vectors by a denoising auto-encoder", needs=("items",),
              folders=("dae",), training=ForSources(("dae",))),
    StageLine(name="siamese", place="pipelines.sources.content:Siamese",
              does="picture vectors -> item vectors by a Siamese network", needs=("features",), folders=("siamese",),
              training=ForSources(("siamese",))),
    StageLine(name="embeddings", place="pipelines.embed.job:Embed", command="embed",
              does="features + model -> unit vectors", needs=("features",), published=("embeddings",),
              day=always, gate="vectors"),
    StageLine(name="unified", place="pipelines.unify.stage:Unified",
              does="embeddings + unified model -> one vector of many sources",
              needs=("items", "features", "embeddings"), published=("unified",), day=with_unified, optional=True),
    StageLine(name="index", place="pipelines.index.job:Index", command="index",
              does="embeddings -> Annoy index with measured recall", needs=("items", "features", "embeddings"),
              published=("index", "refined_index"), day=always),
    StageLine(name="users", place="pipelines.users.job:Users", command="users",
              does="engagements + embeddings -> several vectors per user (PinnerSage)", needs=("log", "embeddings"),
              published=("users", "user_actions", "item_popularity"), day=with_users),
)
# fmt: on


def line_of(name: str) -> StageLine:
    """The line of a stage."""
    return next(line for line in STAGES if line.name == name)


def of_every_day() -> tuple[str, ...]:
    """The stages that no finished run of a day lacks."""
    return tuple(line.name for line in STAGES if line.day is always)


def lines_of_day() -> list[StageLine]:
    """The stages that a day may have."""
    return [line for line in STAGES if line.day is not never]


def published_lines() -> list[StageLine]:
    """The stages that a day may publish: their problems fail a gate, and verify tells all of them."""
    return [line for line in lines_of_day() if line.published]


def with_needs(name: str) -> tuple[str, ...]:
    """A stage and all that it is made from, in the order of the flow.

    >>> with_needs("embeddings")
    ('items', 'features', 'embeddings')
    """
    wanted = {name}
    for line in reversed(STAGES):
        wanted.update(line.needs if line.name in wanted else ())
    return tuple(line.name for line in STAGES if line.name in wanted)


def published_folders() -> tuple[str, ...]:
    """The folders of a run that its readers read."""
    return tuple(folder for line in STAGES for folder in line.published)


def stage_of_folder(folder: str) -> str:
    """The stage that writes a folder of a run.

    >>> stage_of_folder("fingerprints")
    'features'
    """
    return next((line.name for line in STAGES if folder in (*line.published, *line.folders)), folder)


def readable() -> tuple[str, ...]:
    """The folders of a published run that `itemsage path` prints."""
    return (*published_folders(), "changes", "unified_changes", "quarantine")


def published_files(manifests: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The files that readers read, of the manifests of a run's stages; a run need not have every stage. Readers skip
    names that begin with `_`."""
    return [
        entry
        for line in STAGES
        if line.published and line.name in manifests
        for entry in manifests[line.name]["files"]
        if entry["path"].partition("/")[0] in line.published and "/_" not in entry["path"]
    ]
