"""What stops an experiment."""


class ExperimentError(Exception):
    """One line: what was found, and what to do."""
