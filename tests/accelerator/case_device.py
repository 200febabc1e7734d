"""The simulated accelerator itself: right programs give right numbers and counts, and each planted mistake is found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.accelerator.device import KIND, STOPS, simulated

HERE = torch.rand(3, generator=torch.Generator().manual_seed(0))


def there() -> Tensor:
    return HERE.to(KIND)


def test_a_network_gives_the_cpus_numbers_and_trains() -> None:
    torch.manual_seed(0)
    images, net = torch.randn(4, 3, 8, 8), nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.SiLU())
    wanted = net(images).square().mean()
    with simulated():
        net.to(KIND)
        before = net[0].weight.detach().clone()
        got = net(images.to(KIND)).square().mean()
        torch.testing.assert_close(got.cpu(), wanted)
        step = torch.optim.SGD(net.parameters(), 0.1, 0.9, fused=True)
        got.backward()
        step.step()
        assert net[0].weight.device.type == KIND and not torch.equal(before.cpu(), net[0].weight.cpu())


def test_counts_by_hand() -> None:
    """Two waits (a mask, an item), one copy back (tolist), three there, one of them while the host goes on."""
    with simulated() as trace:
        x = torch.arange(6, device=KIND)
        assert x[x > 2].tolist() == [3, 4, 5] and int(x.sum()) == 15
        torch.zeros(3).pin_memory().to(KIND, non_blocking=True)
        torch.zeros(3).to(KIND, non_blocking=True)
        torch.tensor([1.0, 2.0], device=KIND)
        (x + torch.tensor(1)).sum()
        counted = [trace.count(kind) for kind in (*STOPS, "in flight")]
    assert counted == [2, 1, 2, 1] and trace.count("launch") > 5
    assert all("tests/accelerator" not in line for line in trace.lines(*STOPS))


def test_one_kernel_is_one_launch() -> None:
    """SiLU and its gradient are a kernel each, of which torch would make seven on a device that it does not know."""
    with simulated() as trace:
        x = there().requires_grad_()
        y, ones = F.silu(x), torch.ones(3, device=KIND)
        trace.clear()
        y.backward(ones)
        counted = trace.count("launch")
    assert counted == 1 and x.grad is not None
    x_there = HERE.clone().requires_grad_()
    F.silu(x_there).sum().backward()
    torch.testing.assert_close(x.grad.cpu(), x_there.grad)


def test_autocast_rounds_products_and_keeps_losses_wide() -> None:
    """1 + 2^-12 is 1 in float16; 64 * 100 * 100 does not fit it, and bfloat16 holds it."""
    with simulated():
        one, large = torch.full((1, 1), 1 + 2**-12, device=KIND), torch.full((1, 64), 100.0, device=KIND)
        with torch.autocast(KIND, torch.float16):
            assert F.linear(one, torch.ones(1, 1, device=KIND)).item() == 1
            assert F.linear(large, large).isinf().item()
            assert large.half().softmax(1).dtype == torch.float32
        with torch.autocast(KIND, torch.bfloat16):
            assert F.linear(large, large).item() == pytest.approx(640_000, rel=0.01)


MISTAKES: list[tuple[Callable[[], Any], str]] = [
    (lambda: there() + torch.zeros(3), "same device"),
    (lambda: torch.cat([there(), torch.zeros(1)]), "same device"),
    (lambda: torch.zeros(3)[torch.arange(2, device=KIND)], "same device"),
    (lambda: torch.zeros(3).add_(there()), "same device"),
    (lambda: F.conv2d(torch.zeros(1, 1, 3, 3, device=KIND), torch.zeros(1, 1, 3, 3)), "same device"),
    (lambda: torch.randn(3, device=KIND, generator=torch.Generator()), "generator"),
    (lambda: there().numpy(), "use .cpu"),
]


@pytest.mark.parametrize(("mistake", "words"), MISTAKES)
def test_what_cuda_refuses(mistake: Callable[[], Any], words: str) -> None:
    with simulated() as trace, pytest.raises(RuntimeError, match=words):
        mistake()
    assert len(trace.refused) == 1


def test_probabilities_under_autocast_are_refused() -> None:
    with simulated(), torch.autocast(KIND), pytest.raises(RuntimeError, match="with_logits"):
        F.binary_cross_entropy(there(), there())


def test_nothing_is_left_behind() -> None:
    """Afterwards torch is as before: its generator, its pinned memory, its lists of tensors that optimisers take."""
    before = torch.Generator, torch.Tensor.pin_memory
    with simulated():
        assert torch.Generator is not before[0]
    assert (torch.Generator, torch.Tensor.pin_memory) == before
    assert float((HERE + 1).sum()) == pytest.approx(float(HERE.sum()) + 3)
