"""Command: how good item vectors of each source are, by the three tasks of One Embedding To Do Them All."""
