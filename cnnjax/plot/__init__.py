"""Arrays in, matplotlib figures out."""

from cnnjax.plot.attribution import attribution_panels
from cnnjax.plot.contact import contact_sheet
from cnnjax.plot.curves import learning_curves
from cnnjax.plot.grids import filter_grid, filter_tiles, image_grid, image_tiles, mosaic
from cnnjax.plot.matrices import confusion_matrix
from cnnjax.plot.parallel import parallel_coordinates, shares_of_importance
from cnnjax.plot.samples import accuracy_by_size
from cnnjax.plot.style import SERIES, compact, shorten
from cnnjax.plot.svg import COLOR_VARIABLES, to_svg
from cnnjax.plot.tradeoff import accuracy_against, differences

__all__ = [
    "COLOR_VARIABLES",
    "SERIES",
    "accuracy_against",
    "accuracy_by_size",
    "attribution_panels",
    "compact",
    "confusion_matrix",
    "contact_sheet",
    "differences",
    "filter_grid",
    "filter_tiles",
    "image_grid",
    "image_tiles",
    "learning_curves",
    "mosaic",
    "parallel_coordinates",
    "shares_of_importance",
    "shorten",
    "to_svg",
]
