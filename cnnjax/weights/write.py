"""Write variables as a safetensors file that PyTorch's model zoos read."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict

from cnnjax.errors import BadArgument
from cnnjax.files import replacing
from cnnjax.tensors import canonical
from cnnjax.typing import Variables
from cnnjax.weights.about import ENTRY, About
from cnnjax.weights.digest import CHECKSUM, content_digest
from cnnjax.weights.names import names_of, publisher, renamed
from cnnjax.weights.torch_names import to_state_dict, torch_names

__all__ = ["save_weights"]


def save_weights(
    variables: Variables, path: str | Path, *, about: About | None = None, network: str = ""
) -> None:
    """Write `variables` under torch names and in torch layout, complete or not at all.

    The names are those of the publisher of `network`, torchvision or timm; where it is not told,
    ours, which are timm's for an architecture that both have (`cnnjax.weights.names`).
    `load_state_dict(safetensors.torch.load_file(path))` reads the file in PyTorch, strictly; the
    counters `num_batches_tracked`, which have no meaning here, are left out and it adds them.
    The file's metadata hold a checksum of the tensors, and `about`, where `load_model`,
    `preprocessing_of` and the commands find it. Equal arguments give equal files.

    Args:
        variables: `{"params": ..., "batch_stats": ...}`, with floating-point arrays.
        path: of the file, ending in `.safetensors`.
        about: what belongs to the weights.
        network: the name that `cnnjax.build` was given; "" for that in `about`, if any.

    Raises:
        BadArgument: for another suffix, or another tree, such as `params` without its collection,
            or one with two arrays of the same name in PyTorch.
        Failed: where the file cannot be written.
    """
    from safetensors.numpy import save

    path = Path(path)
    if path.suffix != ".safetensors":
        raise BadArgument(f"path is {str(path)!r}; it must end in .safetensors")
    state = to_state_dict(_checked(variables))
    network = network or ("" if about is None else about.network)
    state = renamed(state, names_of(publisher(network), network, state))
    metadata = {"format": "pt", CHECKSUM: content_digest(state)}
    if about is not None:
        metadata[ENTRY] = about.to_json()
    data = canonical(save(state, metadata=metadata))
    with replacing(path, "path") as stream:
        stream.write(data)


def _checked(variables: Any) -> dict[str, Any]:
    """Return the variables as dictionaries, if every one of them has a name of its own."""
    allowed = 'allowed: {"params": ..., "batch_stats": ...}, as `model.init` returns it'
    if not isinstance(variables, Mapping) or "params" not in variables:
        keys = list(variables)[:4] if isinstance(variables, Mapping) else type(variables).__name__
        raise BadArgument(f"variables: received {keys}, without 'params'; {allowed}")
    tree = _plain(variables)
    leaves = flatten_dict(tree)
    for path, leaf in leaves.items():
        dtype = getattr(leaf, "dtype", None)
        if dtype is None or not jnp.issubdtype(dtype, jnp.floating) or len(path) < 2:
            kind = type(leaf).__name__ if dtype is None else dtype
            where = "/".join(map(str, path))
            raise BadArgument(f"variables: {where} is {kind}; {allowed}, of floats")
    twice = [name for name, count in Counter(torch_names(tree).values()).items() if count > 1]
    if twice:
        raise BadArgument(
            f"variables: {len(twice)} names are those of several arrays, first {twice[0]!r}; "
            f"{allowed}"
        )
    return jax.tree.map(np.asarray, tree)


def _plain(tree: Any) -> Any:
    return (
        {key: _plain(value) for key, value in tree.items()} if isinstance(tree, Mapping) else tree
    )
