"""Text that a model wrote, in a form that every JSON reader takes."""

from __future__ import annotations


def sound_text(text: str) -> str:
    """Lone surrogates, which strict JSON readers refuse, as `\\ud800`."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
