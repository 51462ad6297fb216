"""Text from outside is drawn as it is, whatever it looks like, and stays inside its figure."""

import io
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from cnnjax import plot
from cnnjax.plot.speed import relative_speed
from cnnjax.plot.style import caption, columns, new_figure, plain, shorten, with_glyphs

HOSTILE = {
    "mathematics": r"$\frac{$",
    "dollars": "a$b$c",
    "one dollar": "5$",
    "escaped": r"\$x\$ \\",
    "subscript": "a_b^c{d}%e#f&g~h",
    "markup": "<b>x</b><script>1</script>",
    "comment": "--><!--",
    "entity": "&amp;&lt;",
    "Chinese": "中文网络",
    "emoji": "🦉 owl",
    "Arabic": "شبكة",
    "combining": "e\u0301",
    "color": "#0b62a4",
    "id": 'x id="a_1" y',
    "hidden": "_underscore",
    "blank": "",
}
CONTROLS = {"escape": ("\x1b[2J", r"\x1b[2J"), "newline": ("a\nb", r"a\nb"), "nul": ("\0", r"\x00")}

VALUES = np.array([[0.5, 0.6], [0.7, 0.75]])


def curves(*labels):
    lines = {label: VALUES + place for place, label in enumerate(labels)}
    return plot.learning_curves(lines, ylabel=labels[0])


def tradeoff(*labels):
    cost = {label: 2.0 ** (1 + place) for place, label in enumerate(labels)}
    accuracy = {label: VALUES[place % 2] for place, label in enumerate(labels)}
    return plot.accuracy_against(cost, accuracy, xlabel=labels[0])


def forest(*labels):
    middle = np.arange(len(labels)) / 10
    return plot.differences(labels, middle, middle - 0.1, middle + 0.1, xlabel=labels[0])


def matrix(*labels):
    return plot.confusion_matrix(np.eye(len(labels), dtype=int), labels)


PAGES = {"curves": curves, "tradeoff": tradeoff, "forest": forest, "matrix": matrix}


def panels(*labels):
    return plot.attribution_panels({label: np.ones((4, 4, 1)) for label in labels})


def grid(*labels):
    images = np.zeros((len(labels), 4, 4, 1), np.uint8)
    return plot.image_grid(images, labels, columns=4, tile=2.5)


def speed(*labels):
    rows = {label: (1.0, 0.5, 2.0) for label in labels}
    return relative_speed(dict.fromkeys(labels, rows), xlabel=labels[0])


def samples(*labels):
    return plot.accuracy_by_size([1, 10], {label: VALUES for label in labels})


PIXELS = {"panels": panels, "grid": grid, "speed": speed, "samples": samples}
SHORT = {matrix: 14, samples: 26, speed: 32}
"""From how many columns on a figure shortens names, where the ones above are longer."""


def texts(svg):
    """The texts of a figure, and its words for those who do not see it."""
    tree = ET.fromstring(svg.replace("xlink:href", "href"))
    return [text.text or "" for text in tree.iter("text")], tree.get("aria-label")


@pytest.mark.parametrize("draw", PAGES.values(), ids=PAGES)
def test_a_page_has_every_text_as_it_is(draw):
    """Warnings are errors here: a glyph that the font lacks would be one."""
    labels = list(HOSTILE.values())
    found, alt = texts(plot.to_svg(draw(*labels), "".join(labels), "figure"))
    assert set(shorten(labels, SHORT.get(draw, 100))) <= {*found, ""}
    assert alt == "".join(labels)
    if draw is not matrix:  # which writes no label beside its axes
        assert sum(labels[0] in text for text in found) == 2


@pytest.mark.parametrize("draw", PAGES.values(), ids=PAGES)
def test_controls_are_escaped(draw):
    labels, shown = zip(*CONTROLS.values(), strict=True)
    found, alt = texts(plot.to_svg(draw(*labels), "".join(labels), "figure"))
    assert set(shown) <= set(found)
    assert alt == "".join(shown)


@pytest.mark.parametrize("draw", PIXELS.values(), ids=PIXELS)
def test_pictures_of_pixels_are_drawn_without_a_warning(draw):
    labels = [*HOSTILE.values(), "\x1b\0"]
    figure = draw(*labels)
    figure.savefig(io.BytesIO(), format="png")
    found = {text.get_text() for text in figure.findobj(lambda each: hasattr(each, "get_text"))}
    expected = shorten([with_glyphs(label) for label in labels], SHORT.get(draw, 100))
    assert set(map(plain, expected)) <= found | {""}


def test_plain_text_is_what_matplotlib_gives_back():
    """By matplotlib's own rules: no mathematics, and the escapes undone."""
    figure = new_figure(3, 1)
    for label in [*HOSTILE.values(), "$" * 5, "\\" * 3 + "$", "$a$ and $b$"]:
        text = figure.text(0, 0, plain(label))
        shown, is_math = text._preprocess_math(text.get_text())
        assert (shown, is_math) == (label, False)


def test_what_the_font_lacks_is_written_as_an_escape():
    assert with_glyphs("a中$\n") == r"a\u4e2d$\n"
    assert with_glyphs("é√") == "é√"


LONG = {
    "letter": "a",
    "long": "network_" * 8,
    "wide": "WWMM" * 10,
    "Chinese": "猫" * 30,
    "two lines": "first line\nsecond line of it",
    "five lines": "\n".join("abcde"),
}


@pytest.mark.parametrize("label", LONG.values(), ids=LONG)
@pytest.mark.parametrize("draw", [panels, grid])
def test_captions_stay_above_their_picture(draw, label):
    """Neither cut by the figure's edge nor over another picture or its caption."""
    figure = draw(label, "b")
    renderer = figure.canvas.get_renderer()
    titles = [title for axes in figure.axes for title in (axes.title, axes._left_title)]
    boxes = [title.get_window_extent(renderer) for title in titles if title.get_text()]
    assert len(boxes) == 2
    pictures = [axes.get_window_extent(renderer) for axes in figure.axes]
    for box, picture in zip(boxes, pictures, strict=True):
        assert box.y1 <= figure.bbox.y1
        assert box.y0 >= picture.y1
        assert box.x0 >= picture.x0 - 1
        assert box.x1 <= picture.x1 + 1
    lines = label.count("\n") + 1
    assert len(titles[0].get_text().split("\n") + titles[1].get_text().split("\n")) == lines + 1


@pytest.mark.parametrize("label", ["a", "network_" * 8, "猫" * 30])
@pytest.mark.parametrize(
    "draw", [*PAGES.values(), speed, samples], ids=[*PAGES, "speed", "samples"]
)
def test_names_stay_inside_the_figure(draw, label):
    figure = draw(label, "b")
    with plot.style.any_glyph():
        figure.canvas.draw()
        renderer = figure.canvas.get_renderer()
        for axes in figure.axes:
            names = [*axes.texts, *axes.get_yticklabels()]
            for text in names:
                box = text.get_window_extent(renderer)
                assert box.x0 >= figure.bbox.x0 - 1, text
                assert box.x1 <= figure.bbox.x1 + 1, text


@pytest.mark.parametrize(
    ("name", "length", "short"),
    [
        ("abcdefg", 7, "abcdefg"),
        ("abcdefgh", 7, "abc…fgh"),
        ("abcdefghi", 8, "abcd…ghi"),
        ("猫猫猫", 6, "猫猫猫"),
        ("猫猫猫猫", 7, "猫…猫"),
        ("\x1b", 26, r"\x1b"),
        ("", 5, ""),
    ],
)
def test_names_are_shortened_in_the_middle(name, length, short):
    assert shorten([name, "x"], length) == [short, "x"]
    assert columns(short) <= length


def test_a_caption_is_as_long_as_its_width_allows():
    figure = new_figure(4, 1)
    text = "abcdefghijklmnopqrstuvwxyz"
    lengths = [len(caption(figure, text, 9, inches)) for inches in (0.5, 1.0, 1.5, 4.0)]
    assert lengths == sorted(set(lengths))
    assert caption(figure, text, 9, 4.0) == text
    assert "…" in caption(figure, text, 9, 1.0)
