"""Many runs: the folders of a store, which one readers see, which came before, the lock, the history."""
