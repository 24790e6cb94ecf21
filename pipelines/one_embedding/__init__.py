"""What the tasks of One Embedding To Do Them All are asked of: a run's items, a log's sessions, item vectors."""
