"""What is wrong with a stream although frames arrive."""

from __future__ import annotations

import numpy as np
import pytest

from engine.streams.watchdog import STILL, Watchdog, change

RATE = 10  # frames a second


def noise(seed: int, mean: float = 60.0, sigma: float = 3.0) -> np.ndarray:
    """What a camera sends that sees an unlit wall: (72, 96, 3) uint8, grey with a sensor's noise."""
    values = np.random.default_rng(seed).normal(mean, sigma, (72, 96, 1))
    return np.repeat(values.clip(0, 255).astype(np.uint8), 3, axis=2)


def watch(images: object, seconds: float, rate: float = RATE, after: float = 5.0, **facts: float) -> Watchdog:
    """A watchdog that saw `images(number)` for so long. facts: clock=, the stream's seconds a second."""
    dog = Watchdog(after)
    dog.connected(0.0)
    for number in range(round(seconds * rate)):
        now = 1.0 + number / rate
        dog.see(images(number), number + 1, now, now * facts.get("clock", 1.0))  # type: ignore[operator]
    return dog


def kinds(dog: Watchdog, now: float | None = None) -> list[str]:
    return [alarm.kind for alarm in dog.alarms(dog.last if now is None else now)]


def test_a_living_image_is_well() -> None:
    dog = watch(noise, 30)
    assert kinds(dog) == [] and dog.rate == pytest.approx(RATE) and dog.usual == pytest.approx(RATE)


def test_the_same_image_again_and_again_is_frozen() -> None:
    still = noise(1)
    assert kinds(watch(lambda _: still, 4.8)) == []
    (alarm,) = watch(lambda _: still, 8.1).alarms(9.0)
    assert alarm == ("frozen", "frozen image for 8 s")


def test_an_image_that_lost_its_noise_does_not_move() -> None:
    """A recorder that repeats one image encodes it anew: a level up or down here and there."""
    image = noise(1)

    def again(number: int) -> np.ndarray:
        other = image.copy()
        other[number % 72, :, :] += 1
        return other

    assert change(again(1), again(2)) < STILL
    dog = watch(again, 29)
    assert kinds(dog) == []
    assert kinds(watch(again, 31.5)) == ["still"]


@pytest.mark.parametrize(("mean", "lamp", "expected"), [(4.0, 0, ["black"]), (4.0, 220, []), (20.0, 0, [])])
def test_black_is_darker_than_a_night_with_a_lamp(mean: float, lamp: int, expected: list[str]) -> None:
    def image(number: int) -> np.ndarray:
        dark = noise(number, mean, 1.0)
        dark[10:22, 10:22] = np.maximum(dark[10:22, 10:22], lamp)
        return dark

    assert kinds(watch(image, 7)) == expected


def test_a_camera_that_sees_again_is_well() -> None:
    black = np.zeros((72, 96, 3), np.uint8)
    assert kinds(watch(lambda number: black if number < 100 else noise(number), 10)) == ["black"]
    assert kinds(watch(lambda number: black if number < 100 else noise(number), 12)) == []


def test_a_falling_rate() -> None:
    dog = watch(noise, 31)
    for number in range(24):  # two a second for 12 s
        dog.see(noise(number), 311 + number, 32.0 + number / 2)
    (alarm,) = [alarm for alarm in dog.alarms(dog.last) if alarm.kind == "slow"]
    assert alarm.text == "rate fell to 2.0 of 9.8 frames/s"
    for number in range(1500):  # and what stays becomes usual: half of ten is enough after some minutes
        dog.see(noise(number), 335 + number, 44.0 + number / 4.9)
    assert "slow" not in kinds(dog)


def test_frames_that_were_passed_over_count_for_the_rate() -> None:
    dog = Watchdog(5.0)
    for number in range(0, 300, 3):
        dog.see(noise(number), number + 1, number / 30)
    assert dog.rate == pytest.approx(30)


def test_a_clock_that_stands_still_and_one_that_falls_behind() -> None:
    dog = watch(noise, 8)
    for number in range(70):
        dog.see(noise(number), 81 + number, 9.0 + number / RATE, 8.9)
    assert [alarm.text for alarm in dog.alarms(dog.last)] == ["stale clock: stands still for 7 s"]
    late = watch(noise, 20, clock=0.6).alarms(21.0)
    assert [alarm.text for alarm in late] == ["stale clock: 8 s behind"]


def test_a_clock_that_differs_a_little_is_none() -> None:
    assert kinds(watch(noise, 3000, rate=0.5, clock=0.9995, after=1e9), 3000) == []


def test_a_stream_without_times_has_no_stale_clock() -> None:
    dog = Watchdog(5.0)
    for number in range(100):
        dog.see(noise(number), number + 1, number / 10, 0.0)
    assert kinds(dog) == []


def test_silence_is_told_and_hides_the_rest() -> None:
    dog = watch(noise, 30)
    assert kinds(dog, dog.last + 2.9) == []
    assert [alarm.text for alarm in dog.alarms(dog.last + 4.0)] == ["no frame for 4 s"]


def test_a_slow_camera_may_be_silent_for_longer() -> None:
    dog = watch(noise, 400, rate=0.1)
    assert dog.usual == pytest.approx(0.1) and kinds(dog, dog.last + 40) == []
    assert kinds(dog, dog.last + 60) == ["silent"]


def test_another_size_and_the_smallest_image_begin_anew() -> None:
    one = np.full((1, 1, 3), 50, np.uint8)
    dog = watch(lambda number: noise(1) if number < 40 else one, 8)
    assert kinds(dog) == []
    assert kinds(watch(lambda _: one, 8)) == ["frozen"]


def test_zero_reports_nothing() -> None:
    dog = watch(lambda _: np.zeros((8, 8, 3), np.uint8), 60, after=0.0)
    assert dog.alarms(1e9) == () and dog.rate == pytest.approx(RATE)
