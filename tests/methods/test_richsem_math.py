"""RichSem's loss: the published numbers, and that every object counts once."""

from __future__ import annotations

import math

import pytest
import torch

from methods.richsem_math import object_weights, semantic_loss

THREE = [math.log(3), 0.0]  # a teacher that says 0.75 : 0.25
KL = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)  # from an undecided student: 0.130812036


@pytest.mark.parametrize(
    ("student", "teacher", "weight", "expected"),
    [
        ([[0.0, 0.0]], [THREE], None, KL),
        ([[0.0, 0.0]] * 2, [THREE, [0.0, 0.0]], None, KL / 2),
        ([[0.0, 0.0]] * 2, [THREE, [0.0, 0.0]], [1.0, 0.0], KL),
        ([[0.0, 0.0]] * 2, [THREE, [0.0, 0.0]], [1.0, 3.0], KL / 4),
        ([[2.0, -1.0]], [[9.0, 6.0]], None, 0.0),  # a constant added to a row changes nothing
        ([[0.0, 0.0]], [THREE], [0.0], 0.0),  # no weight
        ([[0.0] * 1203], [[1e4] + [0.0] * 1202], None, math.log(1203)),  # 7.0925737
        ([[0.0] * 1204], [[1e4] + [0.0] * 1203], None, 7.0934046),
    ],
)
def test_semantic_loss_by_hand(
    student: list[list[float]], teacher: list[list[float]], weight: list[float] | None, expected: float
) -> None:
    """Specification 7.1."""
    given = None if weight is None else torch.tensor(weight)
    assert semantic_loss(torch.tensor(student), torch.tensor(teacher), given).item() == pytest.approx(
        expected, abs=2e-6
    )


def test_semantic_loss_of_the_reference() -> None:
    """Specification 7.2: 16.71846 on the reference implementation's draws; by entropy, divided by 3, 8.3557138."""
    g = torch.Generator().manual_seed(3)
    torch.randn(2, 10, 1204, generator=g)
    pc, ta = 5 * torch.randn(2, 10, 1204, generator=g), 5 * torch.randn(2, 1204, generator=g)
    torch.randn(2, 8, generator=g)
    tb = 5 * torch.randn(1, 1204, generator=g)
    student, teacher = torch.stack([pc[0, 4], pc[0, 1], pc[1, 9]]), torch.stack([ta[1], ta[0], tb[0]])
    assert semantic_loss(student, teacher).item() == pytest.approx(16.71846, abs=1e-4)
    log_p = teacher.log_softmax(1)
    entropy = 2 * -(log_p.exp() * log_p).sum(1) / math.log(1204)
    weighted = semantic_loss(student, teacher, entropy) * entropy.sum() / 3
    assert weighted.item() == pytest.approx(8.3557138, abs=1e-4)


def test_no_rows_give_zero_and_gradients_of_zero() -> None:
    student = torch.zeros(0, 5, requires_grad=True)
    loss = semantic_loss(student, torch.zeros(0, 5), torch.zeros(0))
    loss.backward()
    assert loss.item() == 0 and student.grad is not None


def test_the_teacher_is_not_differentiated_and_half_precision_does_not_underflow() -> None:
    """1203 classes at scale 100: float16 would round most of p to 0."""
    student = (100 * torch.rand(4, 1203)).half().requires_grad_()
    teacher = (100 * torch.rand(4, 1203)).half().requires_grad_()
    loss = semantic_loss(student, teacher)
    loss.backward()
    assert loss.dtype == torch.float32 and bool(loss.isfinite()) and teacher.grad is None
    assert loss.item() == pytest.approx(semantic_loss(student.double(), teacher.double()).item(), rel=1e-4)


@pytest.mark.parametrize(("teacher", "weight"), [((2, 4), (2,)), ((2, 3), (3,)), ((1, 3), None)])
def test_unequal_shapes(teacher: tuple[int, int], weight: tuple[int] | None) -> None:
    with pytest.raises(ValueError, match=r"semantic_loss wants \(M, C\), \(M, C\) and \(M,\)"):
        semantic_loss(torch.zeros(2, 3), torch.zeros(teacher), None if weight is None else torch.zeros(weight))


def test_each_object_counts_once() -> None:
    """Objects 7 (qualities 0.3, 0.1) and 2 (0.8), and 5 with no quality at all on two anchors."""
    weights = object_weights(torch.tensor([0.3, 0.8, 0.1, 0.0, 0.0]), torch.tensor([7, 2, 7, 5, 5]))
    torch.testing.assert_close(weights, torch.tensor([0.75, 1.0, 0.25, 0.5, 0.5]))
    assert object_weights(torch.zeros(0), torch.zeros(0, dtype=torch.long)).shape == (0,)
