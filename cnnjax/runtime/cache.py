"""What is kept between calls of the command, so that a second run starts at once."""

import os
import sys
import tempfile
from pathlib import Path

__all__ = ["cache_directory", "enable_cache"]

MIN_COMPILE_SECONDS = 0.5
"""Faster compilations are not worth a file each."""

LEAST_ROOM = 2**20
"""Bytes that must fit into the directory: less than one program of a small network takes."""


def cache_directory(part: str = "xla") -> Path | None:
    """Return where compiled programs (`xla`) or decoded images are kept, None if they are not.

    `CNNJAX_CACHE_DIR` names the directory, programs lying in itself and others in one of their
    name, or is `off`; without it `cnnjax/{part}` in `XDG_CACHE_HOME`, by default `~/.cache`.

    Raises:
        OSError: where that lies in a home directory that there is not.
    """
    chosen = os.environ.get("CNNJAX_CACHE_DIR", "")
    if chosen.lower() == "off":
        return None
    home = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG specification says to ignore a relative path.
    base = home if os.path.isabs(home) else "~/.cache"
    try:
        inside = chosen if part == "xla" else f"{chosen}/{part}"
        return Path(inside if chosen else f"{base}/cnnjax/{part}").expanduser()
    except RuntimeError as error:
        raise OSError("there is no home directory; CNNJAX_CACHE_DIR names another one") from error


def enable_cache() -> Path | None:
    """Turn JAX's persistent compilation cache on for this process and return its directory.

    A cache that the user gave JAX itself (`JAX_COMPILATION_CACHE_DIR`) is left alone. A directory
    that cannot be written, or is full, is said on standard error and done without.
    """
    if os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        return None
    try:
        directory = cache_directory()
        if directory is None:
            return None
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory) as probe:
            probe.write(bytes(LEAST_ROOM))
    except OSError as error:
        reason = error.strerror or error
        print(f"cnnjax: compiled programs are not kept ({reason})", file=sys.stderr)
        return None
    import jax  # a process that is about to start again must not wait for it

    jax.config.update("jax_compilation_cache_dir", str(directory))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", MIN_COMPILE_SECONDS)
    return directory
