"""What the options of a training run come to."""

import pytest

from cnnjax.cli.settings import Settings
from cnnjax.train import RECIPES
from cnnjax.train.losses import LOSSES


@pytest.mark.parametrize("loss", LOSSES)
def test_a_loss_alone_trains_without_what_it_has_no_meaning_for(loss):
    """The default recipe smooths labels; that was nobody's wish where the loss is a margin."""
    assert RECIPES["default"].hyper.label_smoothing > 0
    recipe, hyper = Settings(loss=loss).chosen()
    usual = RECIPES["default"].hyper.label_smoothing
    assert recipe.loss == loss
    assert hyper.label_smoothing == (usual if loss == "softmax" else 0)
    assert Settings(loss=loss, label_smoothing=0.3).chosen()[1].label_smoothing == 0.3
    assert hyper.learning_rate == RECIPES["default"].hyper.learning_rate
