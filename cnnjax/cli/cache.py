"""Compiled programs kept between calls of the command, so that a second run starts at once."""

import os
import sys
from pathlib import Path

import jax

__all__ = ["cache_directory", "enable_cache"]

MIN_COMPILE_SECONDS = 0.5
"""Faster compilations are not worth a file each."""


def cache_directory() -> Path | None:
    """Return where compiled programs are kept, None if they are not.

    `CNNJAX_CACHE_DIR` names the directory, or is `off`; without it `cnnjax/xla` in
    `XDG_CACHE_HOME`, by default `~/.cache`.
    """
    chosen = os.environ.get("CNNJAX_CACHE_DIR", "")
    if chosen.lower() == "off":
        return None
    if chosen:
        return Path(chosen).expanduser()
    home = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG specification says to ignore a relative path.
    base = Path(home) if os.path.isabs(home) else Path("~/.cache").expanduser()
    return base / "cnnjax" / "xla"


def enable_cache() -> Path | None:
    """Turn JAX's persistent compilation cache on for this process and return its directory.

    A cache that the user gave JAX itself (`JAX_COMPILATION_CACHE_DIR`) is left alone. A directory
    that cannot be written is said on standard error and does without.
    """
    directory = cache_directory()
    if directory is None or os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        return None
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if not os.access(directory, os.W_OK):
            raise PermissionError(f"{directory}: not writable")
    except OSError as error:
        print(f"cnnjax: compiled programs are not kept ({error})", file=sys.stderr)
        return None
    jax.config.update("jax_compilation_cache_dir", str(directory))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", MIN_COMPILE_SECONDS)
    return directory
