"""Plan and evidence → diagnosis: pure functions, no process, file or clock."""
