"""The commands of `itemsage`: one a job module, in the order of the flow."""

from pipelines.stages import STAGES

#: command -> (module, what it does); in the order of the flow.
COMMANDS = {
    "demo": ("pipelines.demo", "sample shop, training, a daily run and a few searches, in one go"),
    "sample-shop": ("pipelines.sample_shop", "make a believable shop with pictures, text and engagements"),
    "init": ("pipelines.init.job", "a shop's export -> a commented config file for the commands below"),
    "fetch-images": (
        "pipelines.fetch_images.job",
        "pictures that the catalogue names by URL -> files under the image root",
    ),
    "train": ("pipelines.train.job", "catalogue + engagements -> a model in the store"),
    "daily": ("pipelines.daily.job", "catalogue -> published embeddings and index, with the store's model"),
    "search": ("pipelines.search", "search the published run by text, picture or item"),
    "recommend": ("pipelines.recommend", "items of the published run for a user, near their interests"),
    "evaluate": ("pipelines.evaluate.job", "Recall@10 on engagements, nDCG@10 on judgements, beside baselines"),
    "evaluate-users": (
        "pipelines.evaluate_users.job",
        "users on past days as PinnerSage's paper does, beside baselines",
    ),
    "evaluate-sources": (
        "pipelines.evaluate_sources.job",
        "item vectors of each source by task: attributes, clicked and bought, returns",
    ),
    "ablate": ("pipelines.ablate.job", "the papers' tables on a shop's own data: what each part of the model is worth"),
    "runs": ("pipelines.operations.runs", "list the runs of a store: state, size, gates"),
    "explain": (
        "pipelines.operations.explain.job",
        "one item today and yesterday: why computed or reused",
    ),
    "diff": ("pipelines.operations.diff", "what differs between the runs of two dates"),
    "rollback": ("pipelines.operations.rollback", "take readers back to an earlier run"),
    "verify": (
        "pipelines.operations.verify.job",
        "check every file, count and vector of a run; --rebuild recomputes a sample",
    ),
    "doctor": ("pipelines.operations.doctor.job", "check machine, packages, model and inputs before a run"),
    "backfill": ("pipelines.operations.backfill", "daily runs of several days"),
    "gc": ("pipelines.operations.gc.job", "delete old runs that no reader can still be inside"),
    "path": ("pipelines.path", "print a folder of the published run"),
    **{line.command: (line.module, f"stage: {line.does}") for line in STAGES if line.command},
    "sources": ("pipelines.sources.job", "engagements + items -> item vectors from clickstream, a folder a source"),
    "unify": ("pipelines.unify.job", "item vectors of several sources -> one unified model in the store"),
    "publish": ("pipelines.publish", "stage: check a run and make it the one that readers see"),
}
