"""The rack 机架: which boards run where. This release runs them all in one process."""
