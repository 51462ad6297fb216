"""What a process asks of its machine: kind, cores, memory, huge pages, a place for programs."""

from cnnjax.runtime.cache import cache_directory, enable_cache
from cnnjax.runtime.devices import cores
from cnnjax.runtime.huge_pages import use_huge_pages
from cnnjax.runtime.memory import available_bytes, need_bytes, peak_resident_bytes
from cnnjax.runtime.processors import PROCESSORS, processor

__all__ = [
    "PROCESSORS",
    "available_bytes",
    "cache_directory",
    "cores",
    "enable_cache",
    "need_bytes",
    "peak_resident_bytes",
    "processor",
    "use_huge_pages",
]
