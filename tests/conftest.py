"""Settings of every test: two CPU devices, no implicit rank promotion."""

import os

# Before jax is imported anywhere: sharding is tested on two devices that share this machine.
os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=2"
).strip()
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax

jax.config.update("jax_numpy_rank_promotion", "raise")
