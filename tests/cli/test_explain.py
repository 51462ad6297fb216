"""`cnnjax explain` writes its pictures, and says which class."""

import jax
import numpy as np
import pytest

import cnnjax
from cnnjax.cli import explain, main
from cnnjax.errors import BadArgument

Image = pytest.importorskip("PIL.Image")
pytest.importorskip("matplotlib")
NAME = "resnet8_cifar"


@pytest.fixture(autouse=True)
def _plain(monkeypatch):
    monkeypatch.setenv("CNNJAX_CACHE_DIR", "off")


def test_pictures_of_a_network_with_a_file_of_weights(tmp_path, capsys):
    model = cnnjax.build(NAME)
    images = jax.random.normal(jax.random.key(0), (1, 32, 32, 3))
    init = jax.jit(lambda key: model.init(key, images, train=False))
    cnnjax.save_weights(init(jax.random.key(0)), tmp_path / "w.safetensors")
    noise = np.random.default_rng(0).integers(0, 255, (40, 50, 3)).astype(np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    command = ["explain", NAME, str(tmp_path / "noise.png"), "--weights"]
    command += [str(tmp_path / "w.safetensors"), "--steps", "2", "--target", "Frog"]
    pictures = [tmp_path / "new" / name for name in ("out.png", "filters.png")]
    command += ["--out", str(pictures[0]), "--filters", str(pictures[1])]
    assert main(command) == 0
    assert capsys.readouterr().out.startswith("frog, ")
    for path in pictures:
        with Image.open(path) as picture:
            assert picture.format == "PNG"
            assert min(picture.size) > 100
    assert sorted(pictures) == sorted(pictures[0].parent.iterdir())
    assert main([*command[:-4], "--out", "a.pdf"]) == 2
    assert "names ending in .png" in capsys.readouterr().err


def test_classes_are_found_by_name_and_number():
    names = ("tench", "goldfish", "tiger cat")
    assert [explain._find(text, names) for text in ("2", "Goldfish", "tiger cat")] == [2, 1, 2]
    with pytest.raises(BadArgument, match="did you mean 'goldfish'"):
        explain._find("goldfihs", names)
    with pytest.raises(BadArgument, match="did you mean 'tiger cat'"):
        explain._find("cat", names)
    with pytest.raises(BadArgument, match=r"allowed: 0\.\.2"):
        explain._find("3", names)
