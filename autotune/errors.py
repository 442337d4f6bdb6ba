"""Every error a person can cause, as one tree.

    AutotuneError
    |- UsageError        a value that was given cannot be used
    |- ModelError        the model cannot be loaded or run
    |- ConfigFileError   a tuned file cannot be read, or was made by another version
    |- StaleError        a tuned file was made for another model, machine or runtime
    |- MeasureError      nothing could be measured at all
    `- ServerError       a server cannot be started, or does not answer

A message is one line: what is wrong, where, what to do. The command line prints it and exits
with 2. A configuration that fails while it is measured is no error but an outcome
(`autotune.outcome.Failed`).
"""


class AutotuneError(Exception):
    """Base of all errors that are answered with one line and exit code 2."""


class UsageError(AutotuneError):
    """A value given by the caller cannot be used."""


class ModelError(AutotuneError):
    """The model file cannot be found, loaded, or run on its sample input."""


class ConfigFileError(AutotuneError):
    """A tuned file cannot be read."""


class StaleError(AutotuneError):
    """A tuned file was made for another model, machine or runtime, and the caller minds."""


class MeasureError(AutotuneError):
    """No configuration of the model could be measured."""


class ServerError(AutotuneError):
    """A server cannot be started, ended by itself, or does not answer."""
