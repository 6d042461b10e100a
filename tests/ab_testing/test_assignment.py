"""Who gets which variant: determinism, exact weights, fewest moves, independent hashes."""

import json
import os
import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2_contingency, chisquare

from algorail.ab_testing.assign import (
    SEGMENTS,
    LayerClaim,
    Reason,
    VariantTable,
    apportion,
    assign,
    moved_share,
    segment_of,
    unit_key,
)
from algorail.engine.kit.errors import InvalidInput

ARMS = st.text("abcdefgh", min_size=1, max_size=3)
WEIGHTS = st.dictionaries(ARMS, st.integers(0, 50), min_size=1, max_size=6).filter(lambda w: any(w.values()))
UNITS = [f"user-{number}" for number in range(10_000)]


def table(weights, experiment="checkout", **rest):
    return VariantTable.new(experiment, weights, since_ns=0, **rest)


def variants(table_, units=UNITS):
    return [assign(table_, unit).variant for unit in units]


# -- the unit key ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("unit", [None, "", True, False, 1.0, float("nan"), b"x", [], {}, object(), "\ud800"])
def test_what_cannot_be_a_unit_is_outside_and_served_the_control(unit):
    given_ = assign(table({"new": 99, "old": 1}, control="old"), unit)
    assert (given_.variant, given_.reason, given_.in_experiment) == ("old", Reason.NO_UNIT, False)
    assert (given_.bucket, given_.propensity) == (None, 1.0)


def test_whole_number_and_its_decimal_text_are_one_unit():
    assert unit_key(-17) == unit_key("-17") == "-17"
    assert unit_key(2**80) == str(2**80)
    assert unit_key(10**5_000) is None, "str() of such a number raises"


def test_composed_and_decomposed_text_are_one_unit():
    assert unit_key("caf\u00e9") == unit_key("cafe\u0301")


@settings(deadline=None)
@given(st.one_of(st.text(), st.integers(), st.none(), st.booleans(), st.floats(), st.binary()))
def test_every_value_gets_an_answer(unit):
    assert assign(table({"a": 1, "b": 1}), unit).variant in {"a", "b"}


# -- determinism ----------------------------------------------------------------------------------------------


def test_pinned_segments():
    """Computed with sha256sum and bc. A promise: another hash would move every running experiment's units."""
    segments = [segment_of("variant:checkout", f"user-{n}") for n in range(6)]
    assert segments == [3832, 1019, 6142, 1438, 6353, 1352]
    assert segment_of("exposure:checkout", "caf\u00e9") == 9332


def test_same_answer_in_every_process_whatever_the_hash_seed():
    program = (
        "import json, sys\n"
        "from algorail.ab_testing.assign import VariantTable, assign\n"
        "table = VariantTable.from_dict(json.load(sys.stdin))\n"
        "print(json.dumps([assign(table, f'user-{n}').variant for n in range(300)]))\n"
    )
    before = table({"a": 1, "b": 2, "c": 3}).reweighted({"d": 1, "b": 2, "a": 4}, since_ns=1)
    answers = [
        json.loads(
            subprocess.run(
                [sys.executable, "-c", program],
                input=json.dumps(before.to_dict()),
                env={**os.environ, "PYTHONHASHSEED": seed},
                capture_output=True,
                text=True,
                check=True,
            ).stdout
        )
        for seed in ("0", "4711")
    ]
    assert answers[0] == answers[1] == variants(before, UNITS[:300])


# -- weights --------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(WEIGHTS)
def test_apportioned_segments_are_within_one_of_the_exact_quota(weights):
    counts = apportion(weights)
    total = sum(weights.values())
    assert sum(counts.values()) == SEGMENTS
    assert all(abs(counts[arm] - weights[arm] * SEGMENTS / total) < 1 for arm in weights)
    assert counts == apportion(dict(reversed(weights.items()))), "the order of the mapping does not matter"


@settings(deadline=None)
@given(WEIGHTS, st.sampled_from([0.1, 3, 1e300, 1e-300]))
def test_only_the_ratios_of_weights_count(weights, factor):
    counts, scaled = apportion(weights), apportion({arm: w * factor for arm, w in weights.items()})
    assert all(abs(counts[arm] - scaled[arm]) <= 1 for arm in counts)


def test_decimal_floats_are_what_they_say():
    assert apportion({"a": 0.1, "b": 0.2, "c": 0.7}) == {"a": 1_000, "b": 2_000, "c": 7_000}


@pytest.mark.parametrize("weight", [-1, float("nan"), float("inf"), True, None, "9"])
def test_bad_weight_is_refused_by_name(weight):
    with pytest.raises(InvalidInput) as refused:
        apportion({"good": 1, "bad": weight})
    assert [problem.port for problem in refused.value.problems] == ["bad"]


@pytest.mark.parametrize(
    "weights", [{}, {"a": 0}, {"": 1}, {"a": 1, "tiny": 1e-9}, {str(n): 1 for n in range(256)}]
)
def test_weights_nobody_could_be_served_by_are_refused(weights):
    with pytest.raises(InvalidInput):
        apportion(weights)


@pytest.mark.parametrize("weights", [{"3": 90, "4": 10}, {"a": 1, "b": 1, "c": 1}, {"a": 99.5, "b": 0.5}])
def test_shares_served_are_the_weights(weights):
    counted = Counter(variants(table(weights)))
    total = sum(weights.values())
    expected = [weights[arm] / total * len(UNITS) for arm in sorted(weights)]
    assert chisquare([counted[arm] for arm in sorted(weights)], expected).pvalue > 0.001


def test_an_arm_of_weight_zero_is_never_served_not_even_as_control():
    split = table({"old": 0, "new": 100, "rare": 1}, control="old")
    assert set(variants(split)) == {"new", "rare"}
    assert assign(split, None).variant == "new"


def test_propensity_is_the_share_of_the_arm():
    split = table({"a": 3, "b": 1})
    assert {(given_.variant, given_.propensity) for given_ in (assign(split, u) for u in UNITS[:99])} == {
        ("a", 0.75),
        ("b", 0.25),
    }


# -- change ---------------------------------------------------------------------------------------------------


@settings(max_examples=50, deadline=None)
@given(WEIGHTS, WEIGHTS)
def test_a_change_moves_exactly_the_lower_bound(before, after):
    old, new = table(before), table(before).reweighted(after, since_ns=1)
    moved = sum(old.arms[a] != new.arms[b] for a, b in zip(old.segments, new.segments, strict=True))
    bound = sum(abs(new.epoch.weights.get(a, 0) - old.epoch.weights.get(a, 0)) for a in {*before, *after})
    assert 2 * moved == bound
    assert moved / SEGMENTS == moved_share(old.epoch.weights, new.epoch.weights)


@settings(max_examples=25, deadline=None)
@given(st.lists(WEIGHTS, min_size=2, max_size=5))
def test_after_any_history_the_shares_are_exact_and_the_table_survives_json(history):
    split = table(history[0])
    for at, weights in enumerate(history[1:], start=1):
        split = split.reweighted(weights, since_ns=at)
    owned = Counter(split.arms[place] for place in split.segments)
    assert {arm: owned[arm] for arm in split.arms} == split.epoch.weights == apportion(history[-1])
    assert (split.epoch.id, split.epoch.since_ns) == (len(history), len(history) - 1)
    assert VariantTable.from_dict(json.loads(json.dumps(split.to_dict()))) == split


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 9_999), st.integers(1, 9_999))
def test_going_back_gives_every_unit_of_two_arms_its_arm_back(first, second):
    old = table({"a": first, "b": SEGMENTS - first})
    back = old.reweighted({"a": second, "b": SEGMENTS - second}, since_ns=1)
    assert back.reweighted(old.epoch.weights, since_ns=2).segments == old.segments


def test_only_units_of_the_shrinking_arm_move():
    before = table({"3": 90, "4": 10})
    after = before.reweighted({"3": 80, "4": 20}, since_ns=1)
    flips = {(a, b) for a, b in zip(variants(before), variants(after), strict=True) if a != b}
    assert flips == {("3", "4")}


def test_a_ramp_flips_nobody():
    split = table({"new": 1, "old": 1}, control="old", ramp=1_000)
    seen = {}
    sizes = []
    for at, ramp in enumerate([1_000, 2_000, 5_000, 10_000], start=1):
        split = split.ramped(ramp, since_ns=at)
        inside = {u: a.variant for u in UNITS if (a := assign(split, u)).in_experiment}
        assert seen.items() <= inside.items()
        seen = inside
        sizes.append(len(inside) / len(UNITS))
    assert sizes == pytest.approx([0.1, 0.2, 0.5, 1.0], abs=0.01)
    assert split.epoch.id == 5


def test_outside_the_ramp_everybody_has_the_control():
    split = table({"new": 1, "old": 1}, control="old", ramp=0)
    assert {(a.variant, a.reason) for a in (assign(split, u) for u in UNITS[:200])} == {
        ("old", Reason.NOT_EXPOSED)
    }


# -- independence ---------------------------------------------------------------------------------------------


def test_experiments_do_not_share_their_arms():
    """One salt for all (a known fault of others) would make these columns equal."""
    first, second = table({"a": 1, "b": 1}, "first"), table({"a": 1, "b": 1}, "second")
    pairs = Counter(zip(variants(first), variants(second), strict=True))
    assert chi2_contingency([[pairs[x, y] for y in "ab"] for x in "ab"]).pvalue > 0.001


def test_exposure_layer_and_variant_are_independent():
    split = table({"a": 1, "b": 1}, ramp=3_000, layer=LayerClaim("page", ((0, 4_000),)))
    inside = Counter(a.variant for u in UNITS if (a := assign(split, u)).in_experiment)
    assert sum(inside.values()) / len(UNITS) == pytest.approx(0.3 * 0.4, abs=0.01)
    assert chisquare([inside["a"], inside["b"]]).pvalue > 0.001


def test_experiments_of_one_layer_exclude_each_other():
    left = table({"a": 1, "b": 1}, "left", layer=LayerClaim("page", ((0, 2_000), (6_000, 7_000))))
    right = table({"a": 1, "b": 1}, "right", layer=LayerClaim("page", ((2_000, 6_000),)))
    both = [u for u in UNITS if assign(left, u).in_experiment and assign(right, u).in_experiment]
    assert both == []
    assert assign(right, "user-0").reason in {Reason.ASSIGNED, Reason.NOT_IN_LAYER}


@pytest.mark.parametrize("ranges", [((5, 5),), ((9, 3),), ((0, 20_000),), ((-1, 5),), ((0, 9), (5, 20))])
def test_a_claim_that_overlaps_or_leaves_the_layer_is_refused(ranges):
    with pytest.raises(InvalidInput):
        LayerClaim("page", ranges)


# -- overrides ------------------------------------------------------------------------------------------------


def test_an_override_wins_and_does_not_count():
    split = table({"3": 1, "4": 0}).overridden({17: "4"})
    given_ = assign(split, "17")
    assert (given_.variant, given_.reason, given_.in_experiment) == ("4", Reason.OVERRIDE, False)
    assert assign(split, "18").variant == "3"
    assert VariantTable.from_dict(split.to_dict()) == split


def test_an_override_of_an_arm_that_is_gone_is_said():
    with pytest.raises(InvalidInput, match="no such arm"):
        table({"3": 1, "4": 1}).overridden({"me": "4"}).reweighted({"3": 1}, since_ns=1)
    with pytest.raises(InvalidInput, match="non-empty"):
        table({"3": 1}).overridden({True: "3"})


# -- bad tables -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"schema": 2},
        {"runs": [[0, 9_999]]},
        {"runs": [[0, 10_001]]},
        {"runs": [[0, 10**12]]},
        {"runs": [[0, -1], [1, 10_001]]},
        {"runs": [[7, 10_000]]},
        {"runs": None},
        {"arms": ["4", "3"]},
        {"arms": ["3", "3"]},
        {"control": "9"},
        {"ramp": 10_001},
        {"epoch": "1"},
        {"experiment": ""},
        {"experiment": "a\x1fb"},
        {"overrides": {"me": "9"}},
        {"layer": {"name": "", "ranges": [[0, 1]]}},
        {"layer": 5},
    ],
)
def test_a_table_that_does_not_add_up_is_refused(change):
    with pytest.raises(InvalidInput) as refused:
        VariantTable.from_dict({**table({"3": 90, "4": 10}).to_dict(), **change})
    assert refused.value.code == "split-invalid"


def test_a_table_is_small_as_json():
    split = table({str(n): 1 for n in range(20)})
    for at in range(40):
        split = split.reweighted({str(n): 1 + (n * at) % 7 for n in range(20)}, since_ns=at)
    assert len(json.dumps(split.to_dict())) < 10_000
