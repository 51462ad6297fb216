"""Write variables as a safetensors file that PyTorch's model zoos read."""

from pathlib import Path

from cnnjax.errors import BadArgument
from cnnjax.files import replacing
from cnnjax.typing import Variables
from cnnjax.weights.about import ENTRY, About
from cnnjax.weights.torch_names import to_state_dict

__all__ = ["save_weights"]


def save_weights(variables: Variables, path: str | Path, *, about: About | None = None) -> None:
    """Write `variables` under torch names and in torch layout, complete or not at all.

    `load_state_dict(safetensors.torch.load_file(path))` reads the file in PyTorch, strictly; the
    counters `num_batches_tracked`, which have no meaning here, are left out and it adds them.
    `about` goes into the file's metadata, where `load_model`, `preprocessing_of` and the commands
    find it.
    Raises `BadArgument` where `path` does not end in `.safetensors`, `Failed` where it cannot be
    written.
    """
    from safetensors.numpy import save

    path = Path(path)
    if path.suffix != ".safetensors":
        raise BadArgument(f"path is {str(path)!r}; it must end in .safetensors")
    metadata = {"format": "pt"} | ({} if about is None else {ENTRY: about.to_json()})
    data = save(to_state_dict(variables), metadata=metadata)
    with replacing(path, "path") as stream:
        stream.write(data)
