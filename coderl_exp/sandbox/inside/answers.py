"""How a zygote tells the judge of a child that has ended."""

ENDED = "=iB2dq"
"""For `struct`: exit code, cause, CPU and wall seconds, peak memory in kilobytes."""
CAUSES = ("", "cpu", "wall", "stopped")
"""Why the zygote ended it: a limit, or at the judge's word; empty: it ended by itself."""
