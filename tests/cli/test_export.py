"""`cnnjax export`: what is written computes what the network does, with jax alone."""

import jax
import jax.export
import numpy as np
import pytest

import cnnjax
from cnnjax.cli import main
from cnnjax.errors import BadArgument
from cnnjax.models import MODELS
from cnnjax.weights import export_network
from tests.models.test_networks import SMALL

pytest.importorskip("flatbuffers")
NAME = "lenet5"
QUICK = ("convnext_tiny", "densenet121", "preresnet20_cifar")


@pytest.fixture(autouse=True)
def _plain(monkeypatch):
    monkeypatch.setenv("CNNJAX_CACHE_DIR", "off")


@pytest.fixture(scope="module")
def network():
    model = cnnjax.build(NAME)
    images = jax.random.normal(jax.random.key(0), (3, 28, 28, 1))
    variables = model.init(jax.random.key(1), images, train=False)
    return variables, images, model.apply(variables, images, train=False)


def test_a_file_with_weights_takes_any_number_of_images(tmp_path, network, capsys):
    variables, images, logits = network
    cnnjax.save_weights(variables, tmp_path / "w.safetensors")
    out = tmp_path / "new" / "lenet5.jax"
    command = ["export", NAME, "--out", str(out), "--weights", str(tmp_path / "w.safetensors")]
    assert main([*command, "--batch", "any", "--platforms", "cpu,cuda,tpu"]) == 0
    assert "for cpu, cuda, tpu; call(images) with images anyx28x28x1" in capsys.readouterr().out
    program = jax.export.deserialize(out.read_bytes())
    assert program.platforms == ("cpu", "cuda", "tpu")
    for count in (1, 3):
        np.testing.assert_allclose(program.call(images[:count]), logits[:count], atol=1e-5)


def test_a_file_without_weights_takes_them(tmp_path, network):
    variables, images, logits = network
    out = tmp_path / "lenet5.jax"
    assert main(["export", NAME, "--out", str(out), "--batch", "3"]) == 0
    assert out.stat().st_size < 100_000
    program = jax.export.deserialize(out.read_bytes())
    np.testing.assert_allclose(program.call(variables, images), logits, atol=1e-5)


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in SMALL]
)
def test_every_family_is_exported_for_any_batch(name):
    size, overrides = SMALL[name]
    model, shape = cnnjax.build(name, **overrides), (size, size, MODELS[name].channels)
    images = jax.ShapeDtypeStruct((1, *shape), np.float32)
    variables = jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), images)
    program = jax.export.deserialize(
        export_network(model, variables, shape, batch=None, platforms=["cpu", "cuda"], baked=False)
    )
    (logits,) = program.out_avals
    assert logits.shape == (program.in_avals[-1].shape[0], model.num_classes)
    assert not isinstance(logits.shape[0], int)


def test_bad_arguments(tmp_path, network, capsys):
    out = str(tmp_path / "a.jax")
    assert main(["export", NAME, "--out", out, "--batch", "0"]) == 2
    assert main(["export", NAME, "--out", out, "--platforms", "gpu"]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert "batch: received '0', allowed: integers from 1, any" in errors[0]
    assert "platforms: unknown name 'gpu'" in errors[1]
    model, (variables, *_) = cnnjax.build(NAME), network
    for change in ({"batch": 0}, {"platforms": ()}, {"image_shape": (28, 28)}):
        with pytest.raises(BadArgument, match=next(iter(change))):
            export_network(model, variables, **{"image_shape": (28, 28, 1), **change})
    assert not list(tmp_path.iterdir())
