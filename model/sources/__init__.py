"""Item vectors from one source each: clicks, attributes, pictures; and their fusion (One Embedding To Do Them All)."""
