"""Optimizers on a flat tensor against hand-computed steps and torch's own on the same numbers."""

import math
import warnings

import pytest
import torch

from accel.learning import Adam, RMSProp, build_optimizer
from accel.learning.optimizers import CPU_CHUNK

SIZES = (7, 64, 33)


def gradients(num_steps):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(sum(SIZES), generator=generator) for _ in range(num_steps)]


def start():
    return torch.linspace(-1, 1, sum(SIZES))


def run_reference(make_optimizer, learning_rates):
    """Step torch's optimizer on separate parameters with the same gradients."""
    parameters = [torch.nn.Parameter(part.clone()) for part in start().split(SIZES)]
    optimizer = make_optimizer(parameters)
    for learning_rate, gradient in zip(learning_rates, gradients(len(learning_rates))):
        optimizer.param_groups[0]["lr"] = learning_rate
        for parameter, part in zip(parameters, gradient.split(SIZES)):
            parameter.grad = part
        optimizer.step()
    return torch.cat([parameter.detach() for parameter in parameters])


def run_flat(name, learning_rates, **settings):
    flat = start()
    optimizer = build_optimizer(name, flat, **settings)
    for learning_rate, gradient in zip(learning_rates, gradients(len(learning_rates))):
        optimizer.step(gradient, learning_rate)
    return flat


RATES = [1e-2, 5e-3, 1e-3, 1e-3]


def test_adam_equals_torch():
    expected = run_reference(lambda p: torch.optim.Adam(p, eps=1e-5), RATES)
    torch.testing.assert_close(run_flat("adam", RATES, epsilon=1e-5), expected)


def test_rmsprop_outside_equals_torch():
    expected = run_reference(lambda p: torch.optim.RMSprop(p, alpha=0.9, eps=1e-3), RATES)
    settings = dict(epsilon=1e-3, rmsprop_decay=0.9, epsilon_inside_sqrt=False)
    torch.testing.assert_close(run_flat("rmsprop", RATES, **settings), expected)


@pytest.mark.parametrize("start", [0.0, 1.0, 2.5])
@pytest.mark.parametrize("inside", [True, False])
def test_rmsprop_by_hand(inside, start):
    parameters = torch.tensor([1.0])
    optimizer = RMSProp(parameters, 0.9, 0.01, inside, initial_mean_square=start)
    weight, mean_square = 1.0, start
    for gradient in (0.5, -0.2):
        optimizer.step(torch.tensor([gradient]), learning_rate=0.1)
        mean_square = 0.9 * mean_square + 0.1 * gradient**2
        root = math.sqrt(mean_square + 0.01) if inside else math.sqrt(mean_square) + 0.01
        weight -= 0.1 * gradient / root
        assert parameters.item() == pytest.approx(weight, rel=1e-6)


def test_rmsprop_in_chunks_is_rmsprop_of_the_whole():
    size = 3 * CPU_CHUNK + 17
    gradient = torch.randn(size)
    chunked, expected = torch.zeros(size), torch.zeros(size)
    optimizer = RMSProp(chunked, 0.9, 1e-3, epsilon_inside_sqrt=True)
    for _ in range(2):
        optimizer.step(gradient, 0.1)
    first, second = 0.1 * gradient**2, 0.19 * gradient**2
    expected -= 0.1 * gradient / (first + 1e-3).sqrt()
    expected -= 0.1 * gradient / (second + 1e-3).sqrt()
    torch.testing.assert_close(chunked, expected)


def test_epsilon_inside_acts_like_its_root_outside_on_small_gradients():
    gradient = torch.full((1,), 1e-6)
    inside, outside = torch.zeros(1), torch.zeros(1)
    RMSProp(inside, 0.99, 1e-6, True).step(gradient, 1.0)
    RMSProp(outside, 0.99, 1e-3, False).step(gradient, 1.0)
    torch.testing.assert_close(inside, outside, rtol=1e-3, atol=0)


def test_from_a_mean_square_of_one_a_first_step_is_as_small_as_its_gradient():
    gradient = torch.tensor([1e-3, -1e-4])
    moves = []
    for start_value in (1.0, 0.0):
        parameters = torch.zeros(2)
        RMSProp(parameters, 0.99, 1e-14, True, start_value).step(gradient, 0.1)
        moves.append(-parameters)
    torch.testing.assert_close(moves[0], 0.1 * gradient / math.sqrt(0.99))
    torch.testing.assert_close(moves[1], torch.tensor([1.0, -1.0]), rtol=1e-2, atol=0)


def test_the_start_of_the_mean_square_goes_with_the_square_of_the_loss():
    """A loss divided by n, all in its units divided likewise: the same steps (algo=impala)."""
    n, moves = 640, []
    for scale in (1, n):
        parameters = start()
        optimizer = RMSProp(parameters, 0.99, 0.01 / scale**2, True, 1.0 / scale**2)
        for gradient in gradients(3):
            optimizer.step(gradient / scale, 1e-2)
        moves.append(parameters)
    torch.testing.assert_close(moves[0], moves[1])


@pytest.mark.parametrize("name", ["adam", "rmsprop"])
def test_steps_are_repeatable_bit_for_bit(name):
    assert torch.equal(run_flat(name, RATES, epsilon=1e-5), run_flat(name, RATES, epsilon=1e-5))


@pytest.mark.parametrize("mean_square", [0.0, 1.0])
@pytest.mark.parametrize("name", ["adam", "rmsprop"])
def test_a_resumed_optimizer_goes_on_bit_for_bit(name, mean_square):
    """Also one that was started with another mean square than it is now built with."""
    steps = gradients(4)
    whole = start()
    optimizer = build_optimizer(name, whole, epsilon=1e-5)
    for gradient in steps[:2]:
        optimizer.step(gradient, 1e-3)
    resumed = whole.clone()
    other = build_optimizer(name, resumed, epsilon=1e-5, rmsprop_initial_mean_square=mean_square)
    other.load_state_dict(optimizer.state_dict())
    for gradient in steps[2:]:
        optimizer.step(gradient, 1e-3)
        other.step(gradient, 1e-3)
    assert torch.equal(whole, resumed)


def test_the_parameters_are_stepped_in_place():
    flat = start()
    Adam(flat, epsilon=1e-8).step(torch.ones_like(flat), 0.1)
    torch.testing.assert_close(flat, start() - 0.1)


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["adam", "rmsprop"])
def test_a_step_on_a_gpu_warns_of_nothing(name):
    parameters, gradient = torch.ones(2, 8, device="cuda")
    optimizer = build_optimizer(name, parameters, epsilon=1e-5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        optimizer.step(gradient, 0.1)
    assert bool((parameters < 1).all())


def test_unknown_name():
    with pytest.raises(ValueError, match="sgd"):
        build_optimizer("sgd", start(), epsilon=1e-5)
