"""Keeping together in memory what children write to.

A child shares its zygote's pages until it writes to one, and then pays for a copy of all of it. To
Python, using an object is writing to it: its references are counted.
"""

from collections.abc import Iterator

_POOL_BYTES = 1 << 14
"""CPython's allocator keeps objects of one size in a pool, behind a short header."""
_MAX_POOL_HEADER = 128
_IN_ROW = 4
"""Neighbours at its begin show that a pool is new."""
_POOL_SIZES = range(48, 513, 16)
_LIBRARY_SIZES = range(16 * 1024, 512, -512)
"""What is larger comes from the C library, whose memory grows upwards."""
_MAX_FILLED_BYTES = 1 << 18
"""Of each size, should memory be laid out in another way."""
_HEADER_BYTES = b"".__sizeof__()

_fillings: list[bytes] = []


def fill_gaps() -> None:
    """Let what is allocated next lie side by side, not in gaps between other things."""
    highest = 0
    for size in _LIBRARY_SIZES:
        for address in _filled(size):
            if address > highest:
                highest = address
                break
    for size in _POOL_SIZES:
        previous = num_in_row = 0
        for address in _filled(size):
            num_in_row = num_in_row + 1 if address == previous + size else 1
            previous = address
            begin = address - (_IN_ROW - 1) * size
            if num_in_row == _IN_ROW and begin % _POOL_BYTES < _MAX_POOL_HEADER:
                break


def _filled(size: int) -> Iterator[int]:
    """Addresses of new objects of a size, which stay."""
    for _ in range(_MAX_FILLED_BYTES // size):
        _fillings.append(bytes(size - _HEADER_BYTES))
        yield id(_fillings[-1])
