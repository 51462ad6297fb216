import pytest

from cnnjax.report.finding import finding
from tests.compare.made_up import difference, row, rows

BEST = row("best", 0.97, 0.98, 0.99)
A, B, C = (row(name, 0.8, 0.8, 0.8) for name in "abc")
LEADS, IS_BEST = "No clear winner: best leads with 98.00", "best is the most accurate: 98.00"


@pytest.mark.parametrize(
    ("given", "differences", "headline", "words"),
    [
        ([row("a", failed=1)], [], "No run finished.", "Every run failed"),
        ([], [], "No run finished.", "Every run failed"),
        ([BEST], [], f"{IS_BEST} ± 1.00 %",
         "Mean of 3 seeds on the test set; nothing to compare it with."),
        ([row("best", 0.98)], [], f"{IS_BEST} %",
         "Mean of one seed on the test set; nothing to compare it with."),
        ([BEST, A], [difference("a", -0.1, 0.05)], f"{IS_BEST} ± 1.00 %",
         "The difference with a is significant."),
        ([BEST, A, B], [difference("a", -0.1, 0.05), difference("b", -0.1, 0.09)],
         f"{IS_BEST} ± 1.00 %",
         "The difference with each of the other 2 networks is significant."),
        ([BEST, A], [difference("a", -0.1, 0.2)], f"{LEADS} ± 1.00 %",
         "But the difference with a is not significant: see its interval."),
        ([BEST, A, B], [difference("a", -0.1, 0.2), difference("b", -0.1, 0.1)],
         f"{LEADS} ± 1.00 %",
         "But none of the differences with the others is significant: see the intervals."),
        ([BEST, A, B, C],
         [difference("a", -0.1, 0.2), difference("b", -0.1, 0.05), difference("c", -0.1)],
         f"{IS_BEST} ± 1.00 %",
         "It is significantly better than b; a and c cannot be told apart from it."),
        ([BEST, A, B, C],
         [difference("a", -0.1, 0.05), difference("b", -0.1, 0.05), difference("c", -0.1, 0.2)],
         f"{IS_BEST} ± 1.00 %",
         "It is significantly better than a and b; c cannot be told apart from it."),
        ([BEST, A, B, C],
         [*(difference(name, -0.1, 0.05) for name in "abc"), difference("d", 0, 1)],
         f"{IS_BEST} ± 1.00 %",
         "It is significantly better than a, b and c; d cannot be told apart from it."),
        ([row("best", 0.98), A], [difference("a", -0.1, n=1)], f"{LEADS} %",
         "But with a single shared seed no difference can be told from chance."),
        ([BEST, A], [difference("a", 0.1, 0.05)], f"{LEADS} ± 1.00 %",
         "On the seeds that both have, a did significantly better."),
        ([BEST, A], [], f"{LEADS} ± 1.00 %",
         "a shares no seed with it: there is nothing to compare."),
        ([BEST, A, B, C], [difference("a", -0.1, 0.05)], f"{IS_BEST} ± 1.00 %",
         "The difference with a is significant. "
         "b and c share no seed with it: there is nothing to compare."),
    ],
)  # fmt: skip
def test_the_finding_says_what_the_numbers_say(given, differences, headline, words):
    found = finding(given, differences)
    assert found[0] == headline
    if given and given[0].n:
        assert found[1] == words
    else:
        assert found[1].startswith(words)


@pytest.mark.parametrize(
    ("near", "words"),
    [
        (row("small", 0.975, 0.975, 0.975, multiply_adds=25),
         "small is within 0.50 points of it with 4 times fewer multiply-adds (25 against 100)."),
        (row("small", 0.971, 0.971, 0.971, multiply_adds=66), "small is within 0.90 points"),
        (row("small", 0.969, 0.969, 0.969, multiply_adds=25), None),  # more than a point
        (row("small", 0.975, 0.975, 0.975, multiply_adds=67), None),  # less than 1.5 times
        (row("small", 0.975, 0.975, 0.975, multiply_adds=0), None),  # none are counted
    ],
)  # fmt: skip
def test_the_bargain_is_near_and_cheap(near, words):
    text = finding([BEST, near], [difference("small", -0.01, 0.2)])[1]
    assert ("within" in text) == (words is not None)
    assert words is None or words in text
    cheaper = row("least", 0.98, 0.98, 0.971, multiply_adds=10)
    assert "least is within" in finding(rows(BEST, near, cheaper), [])[1]
