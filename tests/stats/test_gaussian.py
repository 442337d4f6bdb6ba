import numpy as np
import pytest

from autotune.stats.gaussian import Gaussian, log_capped_gain, log_expected_gain


def test_conditioning_is_that_of_a_joint_normal() -> None:
    rng = np.random.default_rng(0)
    root = rng.normal(size=(5, 5))
    joint = root @ root.T + 0.1 * np.eye(5)
    seen = rng.normal(size=2)
    own = Gaussian(joint[:2, :2], seen)
    mean, deviation = own.at(joint[:2, 2:], np.diag(joint)[2:])
    weights = np.linalg.solve(joint[:2, :2], joint[:2, 2:])
    np.testing.assert_allclose(mean, seen @ weights)
    left = joint[2:, 2:] - joint[2:, :2] @ weights
    np.testing.assert_allclose(deviation, np.sqrt(np.diag(left)))
    draws = own.draw(joint[:2, 2:], joint[2:, 2:], rng.standard_normal((200_000, 3)))
    np.testing.assert_allclose(draws.mean(axis=0), mean, atol=0.03)
    np.testing.assert_allclose(np.cov(draws.T), left, atol=0.05)


def test_evidence_prefers_the_covariance_that_what_was_seen_came_from() -> None:
    values = np.random.default_rng(1).normal(0, 2, 200)
    found = [Gaussian(v * np.eye(200), values).log_evidence for v in (1.0, 4.0, 16.0)]
    assert np.argmax(found) == 1


def test_the_expected_gain_is_that_of_the_formula_and_goes_on_where_it_underflows() -> None:
    z = np.array([-4.0, -1.0, 0.0, 2.0])
    draws = np.random.default_rng(2).standard_normal(2_000_000)
    expected = [np.maximum(0, one - draws).mean() for one in z[1:]]
    np.testing.assert_allclose(np.exp(log_expected_gain(z))[1:], expected, rtol=0.01)
    far = log_expected_gain(np.array([-4.9, -5.1, -40.0, -1e3, -np.inf]))
    assert (np.diff(far) < 0).all()
    assert np.isfinite(far[:-1]).all()
    assert far[0] - far[1] == pytest.approx(1.05, abs=0.15)


def test_a_capped_gain_is_the_mean_of_gains_that_count_so_far_at_most() -> None:
    draws = np.random.default_rng(0).standard_normal(200_000)
    for z, most in ((-1.0, 0.3), (0.0, 0.3), (2.0, 0.3), (0.5, 4.0)):
        expected = np.minimum(np.maximum(0, z - draws), most).mean()
        (got,) = np.exp(log_capped_gain(np.array([z]), np.array([most])))
        assert got == pytest.approx(expected, rel=0.02)
    never = log_capped_gain(np.array([-np.inf, -np.inf]), np.array([0.5, np.inf]))
    assert (never == -np.inf).all()
    far = log_capped_gain(np.array([-30.0, -40.0]), np.array([0.1, 0.1]))
    assert np.isfinite(far).all()
    assert far[0] > far[1]
