"""The device that a user names. A module of its own: nothing that knows the job table may know the training as well."""


def check_device(name: str) -> None:
    """Raises UsageError if there is no such device here, before anything is written."""
    from rnnlab.training.sizing import find_device

    find_device(name)
