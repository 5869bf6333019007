"""How a zygote tells the judge of a child that has ended."""

ENDED = "=iBddq"
"""For `struct`: exit code, cause, CPU seconds, `time.monotonic` then, peak memory in kilobytes."""
CAUSES = ("", "cpu", "stopped")
"""Why the zygote ended it: its limit, or at the judge's word; empty: it ended by itself."""
