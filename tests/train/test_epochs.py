"""What a run shows its network, step by step, as a network that keeps a diary saw it."""

import dataclasses
import itertools

import jax
import numpy as np
import pytest

from cnnjax.data.augment import Cutout, HorizontalFlip, Normalize, RandomCrop
from cnnjax.train import Hyper, Recipe, fit
from cnnjax.train.keys import named_key
from tests.train.toy import Recorder, noise_set

KEY = jax.random.key(3)
RAW = (np.zeros(1), np.full(1, 1 / 255))  # pixels come as they are


def diary(train_set, epochs, batch_size, key=KEY, normalization=None, **recipe):
    """Return the images `[epochs, steps, B, ...]` of a run and what dropout drew in each step."""
    batch = min(batch_size, len(train_set))
    steps = len(train_set) // batch
    settings = Recipe(epochs=epochs, batch_size=batch_size, **recipe)
    model = Recorder(steps * epochs, batch)
    run = fit(model, train_set, None, settings, Hyper(), key, normalization=normalization)
    kept = run.state.batch_stats
    assert int(kept["page"]) == int(run.state.step) == epochs * steps
    shown = np.asarray(kept["shown"])
    return shown.reshape(epochs, steps, *shown.shape[1:]), np.asarray(kept["drawn"]).tolist()


def numbered(number):
    """Images of one pixel, each of which is its own number."""
    images = np.arange(number, dtype=np.uint8).reshape(-1, 1, 1, 1)
    return dataclasses.replace(noise_set(number, 1), images=images)


@pytest.mark.parametrize(("number", "batch_size"), [(12, 4), (11, 3), (5, 8), (6, 1), (9, 8)])
def test_every_image_comes_once_an_epoch_in_another_order(number, batch_size):
    """Where the batch does not divide the set, those that are last in the order stay out."""
    shown, _ = diary(numbered(number), 3, batch_size, normalization=RAW)
    shown = np.rint(shown).astype(int).reshape(3, -1)
    used = number - number % min(batch_size, number)
    for epoch, seen in enumerate(shown):
        assert len(set(seen)) == len(seen) == used
        assert set(seen) <= set(range(number))
        key = jax.random.fold_in(named_key(KEY, "order"), epoch)
        assert seen.tolist() == jax.random.permutation(key, number)[:used].tolist()
    assert all((one != other).any() for one, other in itertools.combinations(shown, 2))


def test_every_step_drops_something_else_and_an_equal_run_the_same():
    train_set = numbered(8)
    _, drawn = diary(train_set, 3, 2, normalization=RAW)
    assert len(set(drawn)) == len(drawn) == 12
    assert diary(train_set, 3, 2, normalization=RAW)[1] == drawn
    other = diary(train_set, 3, 2, jax.random.key(4), normalization=RAW)[1]
    assert not set(other) & set(drawn)


def explained(seen, original, padding, flips, square):
    """Return every (row, column, flipped) that makes a normalized original what was seen.

    Apart from a square of at most that side, whose values are 0: the mean color.
    """
    height, width = seen.shape[:2]
    mean, std = original["mean"], original["std"]
    found = []
    padded = np.pad(original["image"] / 255.0, ((padding,) * 2, (padding,) * 2, (0, 0)))
    for row, column, flipped in itertools.product(
        range(2 * padding + 1), range(2 * padding + 1), range(1 + flips)
    ):
        image = padded[row : row + height, column : column + width]
        image = ((image[:, ::-1] if flipped else image) - mean) / std
        wrong = ~np.isclose(seen, image, atol=1e-4).all(axis=-1)
        rows, columns = np.flatnonzero(wrong.any(axis=1)), np.flatnonzero(wrong.any(axis=0))
        small = not wrong.any() or max(np.ptp(rows), np.ptp(columns)) < square
        if small and (seen[wrong] == 0).all() and wrong.sum() == len(rows) * len(columns):
            found.append((row, column, flipped))
    return found


@pytest.mark.parametrize(
    ("padding", "flip", "square"),
    [(0, False, 0), (2, False, 0), (0, True, 0), (0, False, 2), (1, True, 3)],
)
def test_images_are_cropped_flipped_normalized_then_cut_and_otherwise_every_time(
    padding, flip, square
):
    """In this order: outside of the image is black, not the mean; the square is the mean."""
    train_set = noise_set(9, 6, channels=2)
    pixels = train_set.images.reshape(-1, 2) / 255.0
    chain = (
        *((RandomCrop(padding),) if padding else ()),
        *((HorizontalFlip(),) if flip else ()),
        *((Normalize(), Cutout(square)) if square else ()),
    )
    shown, _ = diary(train_set, 4, 9, augment=chain)
    ways = set()
    for epoch, seen in enumerate(shown[:, 0]):
        order = jax.random.permutation(jax.random.fold_in(named_key(KEY, "order"), epoch), 9)
        for image, index in zip(seen, order.tolist(), strict=True):
            original = {"image": train_set.images[index], "mean": pixels.mean(0)}
            found = explained(image, original | {"std": pixels.std(0)}, padding, flip, square)
            assert len(found) == 1
            zeros = (image == 0).all(axis=-1)
            assert (1 <= zeros.sum() <= square**2) if square else not zeros.any()
            ways.add((*found[0], zeros.tobytes(), epoch))
    alone = {way[:-1] for way in ways}
    if padding or flip or square:
        # Each image of each step has its own: 36 draws of 2 to 36 equally likely ones.
        assert {way[:3] for way in ways if way[-1] == 0} != {(0, 0, 0)} or square
        assert len(alone) > 1
        per_epoch = [tuple(sorted(way[:-1] for way in ways if way[-1] == e)) for e in range(4)]
        assert len(set(per_epoch)) > 1 or flip
    else:
        assert {way[:3] for way in ways} == {(0, 0, 0)}
    if padding:
        assert {way[0] for way in ways} == {way[1] for way in ways} == set(range(2 * padding + 1))
    assert {way[2] for way in ways} == set(range(1 + flip))
