"""The commands of `itemsage`: one a job module, in the order of the flow."""

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
