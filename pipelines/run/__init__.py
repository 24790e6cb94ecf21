"""One run: its units and their sidecars, what adds up, what changed since the run before."""
