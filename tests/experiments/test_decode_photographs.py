"""The loop that `experiments/decode_photographs.py` times makes the images that a folder has."""

import numpy as np
import pytest

from cnnjax.data import from_folder

pytest.importorskip("PIL")
pytest.importorskip("sklearn")


def test_the_same_images(experiment, tmp_path, monkeypatch):
    monkeypatch.setenv("CNNJAX_CACHE_DIR", "off")
    script = experiment("decode_photographs")
    paths = script.write_photographs(tmp_path / "x", 4, (300, 260))
    found = from_folder(tmp_path / "x", resize=script.PIXELS)
    order = [found.files.index(str(path.relative_to(tmp_path / "x"))) for path in paths]
    ours = found.images[order].astype(int)
    assert np.abs(ours - script.loop(paths, False)).max() <= 1
    assert np.abs(ours - script.loop(paths, True)).mean() < 3


def test_every_method_has_its_turn(experiment, monkeypatch):
    monkeypatch.setenv("CNNJAX_CACHE_DIR", "off")
    found = experiment("decode_photographs").measure((240, 230), 4, 2)
    assert {method: len(values) for method, values in found.items()} == {
        "loop": 2, "draft": 2, "first": 2, "again": 2, "draft_differs_by": 1,
    }  # fmt: skip
    assert min(map(min, found.values())) >= 0
