"""The laptop: the real Pulumi engine, an emulator of AWS, and each task of the service as a process."""


class LocalError(Exception):
    """Something that the user can put right; its text is all that they are shown."""
