"""Settings of every test: two CPU devices, no implicit rank promotion, nothing kept for ever."""

import os

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
