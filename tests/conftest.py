"""Settings of every test: two CPU devices, no implicit rank promotion, nothing kept for ever."""

import os
import re
import zlib

# Before jax is imported anywhere: sharding is tested on two devices that share this machine.
os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=2"
).strip()
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import pytest

jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture(autouse=True, scope="module")
def _forget_compiled_programs():
    """Let go of what a file of tests compiled: thousands of programs fill a process's memory maps.

    LLVM crashes where it gets no more (`vm.max_map_count`, 65,530 by default).
    """
    yield
    jax.clear_caches()


def pytest_addoption(parser):
    parser.addoption("--shard", metavar="K/N", help="only the K-th of N equal parts, from 1")


def pytest_collection_modifyitems(config, items):
    """Keep the tests of a shard: each is in one, whatever else there is and in whatever order."""
    given = config.getoption("--shard")
    if not given:
        return
    match = re.fullmatch(r"(\d+)/(\d+)", given)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise pytest.UsageError(f"--shard: received {given!r}, allowed: K/N with 1 <= K <= N")
    part, parts = int(match[1]) - 1, int(match[2])
    mine = [item for item in items if zlib.crc32(item.nodeid.encode()) % parts == part]
    config.hook.pytest_deselected(items=[item for item in items if item not in set(mine)])
    items[:] = mine
