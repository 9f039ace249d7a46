import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread
from matplotlib.text import Text

from planorder.results import figures, study_figures
from planorder.results.analysis_figures import LOOKS
from planorder.results.evaluate import error_curve
from planorder.results.plotting import EXACT, OTHERS, STRATEGIES, measure_of, render, save
from planorder.results.stats import wilson
from puzzles import get_family
from puzzles.base import PuzzleBatch, UserInputError


def results_row(tier, model, strategy, exact, passes=50.0, n=200, **more):
    low, high = wilson(round(exact * n), n)
    return {
        "tier": tier,
        "model": model,
        "strategy": strategy,
        "n": n,
        "exact": exact,
        "exact_low": float(low),
        "exact_high": float(high),
        "passes": passes,
        **more,
    }


def results_table():
    rows = []
    for place, strategy in enumerate(("vanilla", "random", "left_to_right", "top_prob", "top_margin")):
        for tier, ease in (("logic", 1.0), ("hard", 0.5)):
            rows.append(results_row(tier, "net", strategy, (0.1 + 0.2 * place) * ease))
            rows.append(results_row(tier, "deep", strategy, (0.5 + 0.1 * place) * ease, 40.0 + 8 * place))
    return pd.DataFrame(rows)


RESULTS = results_table()
STEPS = {
    "left_to_right": np.tile(np.arange(4, dtype=np.int16), (3, 1)),
    "random": np.array([[-1, 0, 1, 2], [-1, 1, 0, 2], [-1, 2, 1, 0]], np.int16),
}
SWEEP = pd.DataFrame(
    [
        results_row("logic", "net", strategy, exact * factor, setting=setting, value=value, noise=noise)
        for strategy in ("top_prob", "top_margin")
        for noise, factor in (("no noise", 1.0), ("Gumbel 0.5", 0.2))
        for setting, value, exact in (("T", 10, 0.8), ("T", 50, 0.95), ("K", 1, 0.95), ("K", 4, 0.7))
    ]
)
METRICS = pd.DataFrame(
    [
        results_row("val", "net", order, 0.02 * step * pace, order=order, examples=1000 * step, minutes=step)
        for order, pace in (("vanilla", 1.0), ("top_margin", 2.0))
        for step in range(1, 21)
    ]
)


def curves():
    ones, found = np.ones((3, 16), np.int8), {}
    batch = PuzzleBatch("line-v1", ones * 0, ones, ones * 0, ones * 0, ones[:, 0], np.arange(3))
    for name, step in STEPS.items():
        wide = np.repeat(step, 4, axis=1)
        found[name] = error_curve(get_family("sudoku-2x2"), batch, ones + (wide == 0), wide)
    return found


def draw(name):
    return {
        "strategy": lambda: figures.accuracy_by_strategy(RESULTS),
        "passes": lambda: figures.accuracy_against_passes(RESULTS),
        "heat": lambda: figures.step_heat_map(STEPS, (2, 2), (1, 2)),
        "error": lambda: figures.error_by_masked_fraction(curves()),
        "depth": lambda: figures.order_effect_by_depth(RESULTS, {"net": "2 blocks", "deep": "16 turns"}),
        "noise": lambda: study_figures.noise_and_steps(SWEEP),
        "learning": lambda: figures.learning_curve(METRICS),
    }[name]()


NAMES = ("strategy", "passes", "heat", "error", "depth", "noise", "learning")


def points(container, axis):
    """Drawn centres and the ends of the error bars along an axis (0 or 1)."""
    centre = container.lines[0].get_xydata()[:, axis]
    ends = np.array([segment[:, axis] for segment in container.lines[2][0].get_segments()])
    return centre, ends[:, 0], ends[:, 1]


def words(figure):
    return {text.get_text() for text in figure.findobj(Text)}


@pytest.mark.parametrize("name", NAMES)
def test_image_is_drawn_with_labels_and_n(tmp_path, name):
    figure = draw(name)
    save(figure, tmp_path / "figure.png")
    image = imread(tmp_path / "figure.png")[..., :3]
    assert min(image.shape[:2]) > 300
    assert len(np.unique((255 * image[::2, ::2]).astype(int) @ [1, 256, 65536])) > 30
    assert (image[:3] == 1).all()  # nothing is cut at the upper edge
    assert (image[-3:] == 1).all()
    assert "n = " in figure.get_supxlabel()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_same_figure_same_bytes(name, suffix):
    first, again = draw(name), draw(name)
    data = render(first, suffix)
    assert render(again, suffix) == data
    assert render(first, suffix) == data  # saving leaves the figure as it was


@pytest.mark.parametrize("name", NAMES)
def test_no_two_texts_overlap(name):
    figure = draw(name)
    figure.draw_without_rendering()
    boxes = [
        (text.get_text(), text.get_window_extent())
        for text in figure.findobj(Text)
        if text.get_visible() and text.get_text().strip() and (text.axes is None or text.axes.axison)
    ]
    drawn = [(text, box) for text, box in boxes if box.width > 0]
    for place, (one, box) in enumerate(drawn):
        for other, second in drawn[place + 1 :]:
            apart = box.x1 <= second.x0 + 1 or second.x1 <= box.x0 + 1
            assert apart or box.y1 <= second.y0 + 1 or second.y1 <= box.y0 + 1, (one, other)


def test_drawing_leaves_the_users_style_alone():
    with matplotlib.rc_context({"font.size": 23.0, "axes.facecolor": "black"}):
        first = render(draw("strategy"))
        assert matplotlib.rcParams["font.size"] == 23.0
    assert first == render(draw("strategy"))


def test_accuracy_by_strategy_shows_the_table():
    figure = figures.accuracy_by_strategy(RESULTS)
    assert len(figure.axes[0].containers) == 2
    for container, tier in zip(figure.axes[0].containers, ("logic", "hard"), strict=True):
        rows = RESULTS[RESULTS["tier"] == tier]
        share, low, high = points(container, 0)
        assert container.get_label() == tier
        np.testing.assert_allclose(share, 100 * rows["exact"])
        np.testing.assert_allclose(low, 100 * rows["exact_low"])
        np.testing.assert_allclose(high, 100 * rows["exact_high"])
    assert {"net", "deep", "vanilla", "top_margin", "logic", "hard"} <= words(figure)


def test_accuracy_against_passes_shows_the_table():
    figure = figures.accuracy_against_passes(RESULTS)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["logic", "hard"]
    rows = RESULTS[RESULTS["tier"] == "hard"]
    drawn = [points(container, 1) for container in figure.axes[1].containers]
    np.testing.assert_allclose(np.concatenate([share for share, _, _ in drawn]), 100 * rows["exact"])
    np.testing.assert_allclose(np.concatenate([high for _, _, high in drawn]), 100 * rows["exact_high"])
    passes = np.concatenate([points(container, 0)[0] for container in figure.axes[1].containers])
    np.testing.assert_allclose(passes, rows["passes"], rtol=0.08)


def test_the_measure_is_the_familys_headline():
    assert measure_of(get_family("sudoku")) == EXACT
    measure = measure_of(get_family("naesat"))
    table = RESULTS.assign(cell=0.9 + RESULTS["exact"] / 100)
    table = table.assign(cell_low=table["cell"] - 0.01, cell_high=table["cell"] + 0.02)
    drawn = {
        "strategy": figures.accuracy_by_strategy(table, measure),
        "passes": figures.accuracy_against_passes(table, measure),
        "depth": figures.order_effect_by_depth(table, {"net": "2 blocks"}, ("vanilla",), measure),
        "error": figures.error_by_masked_fraction(curves(), measure),
    }
    for name, figure in drawn.items():
        told = words(figure) | {figure.get_supxlabel()}
        if name != "error":
            assert "observations right (%)" in told
            assert any("95% t intervals over puzzles" in text for text in told)
        assert not any("exact" in text for text in told), name
    assert "newly filled observations that are wrong (%)" in words(drawn["error"])
    rows = table[table["tier"] == "logic"]
    share, low, high = points(drawn["strategy"].axes[0].containers[0], 0)
    np.testing.assert_allclose(share, 100 * rows["cell"])
    np.testing.assert_allclose(low, 100 * rows["cell_low"])
    np.testing.assert_allclose(high, 100 * rows["cell_high"])


def test_equal_points_are_moved_apart_and_others_are_not():
    spread = figures._side_by_side(np.array([50.0, 50.0, 50.0, 90.0]), np.array([98.0, 97.0, 20.0, 98.0]))
    assert spread[0] < 50 < spread[1]
    assert spread[0] * spread[1] == pytest.approx(2500)
    assert spread[2:].tolist() == [50, 90]


def test_heat_map_is_the_mean_step():
    figure = figures.step_heat_map(STEPS, (2, 2), (1, 2))
    ordered, mixed = (axes.images[0].get_array() for axes in figure.axes[:2])
    np.testing.assert_allclose(ordered, [[0, 1 / 3], [2 / 3, 1]])
    assert np.ma.getmaskarray(mixed)[0, 0] or np.isnan(mixed[0, 0])
    np.testing.assert_allclose(np.asarray(mixed).ravel()[1:], [0.5, 1 / 3, 2 / 3])
    assert [len(axes.lines) for axes in figure.axes[:2]] == [1, 1]


def test_error_lines_and_bands():
    figure = figures.error_by_masked_fraction(curves())
    axes = figure.axes[0]
    for line, band, (name, curve) in zip(axes.lines, axes.collections, curves().items(), strict=True):
        assert (line.get_label(), line.get_color()) == (name, STRATEGIES[name][0])
        np.testing.assert_allclose(line.get_ydata(), 100 * curve["error"])
        assert band.get_paths()[0].vertices[:, 1].max() == pytest.approx(100 * curve["high"].max())
    assert axes.get_xlim() == (100, 0)


def test_depth_groups_the_networks():
    figure = figures.order_effect_by_depth(
        RESULTS, {"deep": "16 turns", "net": "2 blocks"}, ("vanilla", "top_prob")
    )
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["16 turns", "2 blocks"]
    rows = RESULTS[(RESULTS["tier"] == "logic") & (RESULTS["strategy"] == "top_prob")].set_index("model")
    shown = dict(
        zip(np.round(points(axes.containers[1], 0)[0]), points(axes.containers[1], 1)[0], strict=True)
    )
    assert shown == pytest.approx({0: 100 * rows["exact"]["deep"], 1: 100 * rows["exact"]["net"]})


def test_noise_has_a_panel_a_setting_and_a_line_a_rule():
    figure = study_figures.noise_and_steps(SWEEP)
    assert [axes.get_xlabel() for axes in figure.axes] == ["reverse steps T", "cells filled a step K"]
    assert [len(axes.containers) for axes in figure.axes] == [4, 4]
    np.testing.assert_allclose(points(figure.axes[1].containers[0], 1)[0], [95, 70])
    assert len(study_figures.noise_and_steps(SWEEP[SWEEP["setting"] == "K"]).axes) == 1


@pytest.mark.parametrize(("x", "last"), [("examples", 20), ("minutes", 20)])
def test_learning_curve(x, last):
    lines = figures.learning_curve(METRICS.sample(frac=1, random_state=0), x).axes[0].lines
    by_label = {line.get_label(): line for line in lines}
    np.testing.assert_allclose(by_label["top_margin"].get_ydata(), 4.0 * np.arange(1, 21))
    assert by_label["vanilla"].get_xdata()[-1] == last


def test_nothing_to_draw_is_one_line():
    empty = RESULTS[:0]
    for call in (
        lambda: figures.accuracy_by_strategy(empty),
        lambda: figures.accuracy_against_passes(empty),
        lambda: figures.step_heat_map({}, (2, 2)),
        lambda: figures.error_by_masked_fraction({}),
        lambda: figures.order_effect_by_depth(RESULTS, {"other": "?"}),
        lambda: study_figures.noise_and_steps(SWEEP[:0]),
        lambda: figures.learning_curve(METRICS[:0]),
        lambda: figures.learning_curve(METRICS, "hours"),
        lambda: render(figures.accuracy_by_strategy(RESULTS), "bmp"),
    ):
        with pytest.raises(UserInputError) as caught:
            call()
        assert "\n" not in str(caught.value)


def test_other_series_have_looks_that_no_known_one_has() -> None:
    assert not set(OTHERS) & set(LOOKS.values())
    assert len(set(OTHERS)) == len(OTHERS)
