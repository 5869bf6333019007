"""How a zygote tells the judge of a child that has ended."""

ENDED = "=iBdq"
"""For `struct`: exit code, cause, CPU seconds, peak memory in kilobytes."""
CAUSES = ("", "cpu", "stopped")
"""Why the zygote ended it: its limit, or at the judge's word; empty: it ended by itself."""
