"""Where the arrays of a run lie: a mesh, which is of one device where nothing is shared out."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from cnnjax.errors import BadArgument

__all__ = ["batch_sharding", "data_parallel_mesh", "one_device", "replicated"]


def data_parallel_mesh(devices: Sequence[jax.Device] | None = None) -> Mesh:
    """Return a mesh of one axis, `"batch"`, over these devices; by default over all.

    The axis is `Auto`: the compiler splits the computation, so that a step means the same as on
    one device, the batch statistics of norms included.
    """
    chosen = list(jax.devices() if devices is None else devices)
    if not chosen:
        raise BadArgument("devices: received none, allowed: one or more")
    return Mesh(np.array(chosen), ("batch",), axis_types=(AxisType.Auto,))


def one_device() -> Mesh:
    """Return the mesh of the default device alone."""
    settings: Any = jax.config
    config = settings.jax_default_device
    if isinstance(config, str):
        config = jax.devices(config)[0]
    return data_parallel_mesh([jax.devices()[0] if config is None else config])


def replicated(mesh: Mesh) -> NamedSharding:
    """Return the sharding of what every device holds whole."""
    return NamedSharding(mesh, PartitionSpec())


def batch_sharding(mesh: Mesh, axis: int = 0) -> NamedSharding:
    """Return the sharding of what is split along an axis, by default its first."""
    return NamedSharding(mesh, PartitionSpec(*[None] * axis, "batch"))
