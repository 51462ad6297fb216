"""Data parallelism: where the arrays of a run lie when a batch is shared out over devices."""

from collections.abc import Sequence

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from cnnjax.errors import BadArgument

__all__ = ["batch_sharding", "data_parallel_mesh", "devices_in", "replicated"]


def data_parallel_mesh(devices: Sequence[jax.Device] | None = None) -> Mesh:
    """Return a mesh of one axis, `"batch"`, over these devices; by default over all.

    The axis is `Auto`: the compiler splits the computation, so that a step means the same as on
    one device, the batch statistics of norms included.
    """
    chosen = list(jax.devices() if devices is None else devices)
    if not chosen:
        raise BadArgument("devices: received none, allowed: one or more")
    return Mesh(np.array(chosen), ("batch",), axis_types=(AxisType.Auto,))


def replicated(mesh: Mesh | None) -> NamedSharding | None:
    """Return the sharding of what every device holds whole; None without a mesh."""
    return None if mesh is None else NamedSharding(mesh, PartitionSpec())


def batch_sharding(mesh: Mesh | None) -> NamedSharding | None:
    """Return the sharding of what is split along its first axis; None without a mesh."""
    return None if mesh is None else NamedSharding(mesh, PartitionSpec("batch"))


def devices_in(mesh: Mesh | None) -> int:
    """Return how many devices share a batch."""
    return 1 if mesh is None else mesh.size
