"""Where replicas run. `local`: subprocesses of this machine."""
