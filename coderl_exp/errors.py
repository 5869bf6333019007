"""Every deliberate exception. A message is one line: what was given, what is needed, the remedy."""


class CoderlError(Exception):
    """Base of every error that a user can act on; printed without a traceback."""

    exit_code = 1


class ConfigError(CoderlError):
    """An impossible or misspelt configuration, found before any work starts."""

    exit_code = 2


class DataError(CoderlError):
    """A dataset file that is missing, truncated or not what it claims to be."""

    exit_code = 2


class ModelError(CoderlError):
    """A model that cannot be loaded, lacks a part, or whose merge is not equivalent."""

    exit_code = 2


class StoreError(CoderlError):
    """An artefact that is absent, was written under another configuration, or cannot be written."""


class SandboxError(CoderlError):
    """The judge itself failed. It is never a verdict about a candidate."""


class TrainingError(CoderlError):
    """The training process ended without an adapter."""


class GenerationError(CoderlError):
    """The engine that samples completions failed; it says nothing about the policy."""


class SweepError(CoderlError):
    """Jobs of a sweep that failed, or that cannot be started."""
