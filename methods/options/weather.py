"""Options of the method `weather`. Kept apart from the method so that `--help` needs no torch."""

from __future__ import annotations

from dataclasses import dataclass

from utils.options import Group

GROUP = Group("Weather while training (--method weather)", tasks=("detect",))
DEFAULT_MIX = "street"


@dataclass(frozen=True)
class WeatherOptions:
    """Physical degradations of the training images, drawn anew each time. See docs/methods/weather.md."""

    weather: str = GROUP.option(
        "",
        "what becomes of which fraction of the images, such as 'low_light=0.4 fog=0.2 rain+motion_blur=0.1', or a preset: "
        "street, camera-ir, sea, drone, general",
        shown=DEFAULT_MIX,
    )
    weather_severity: str = GROUP.option(
        "", "range of the severities, such as 0.3-1, or one number", shown="each model's own"
    )
    weather_law: str = GROUP.option(
        "uniform",
        "distribution of the severity in its range: uniform, or mild (the square of a uniform number) or strong (its root)",
        choices=("uniform", "mild", "strong"),
    )
    weather_curriculum: float = GROUP.fraction(
        0.0,
        "fraction of the epochs in which the severities grow from the mildest to the whole range; 0: all from the start",
    )
    weather_pair: str = GROUP.option(
        "same",
        "paired images of a degraded image: the same draw, a draw of their own, or clean as they are",
        choices=("same", "own", "clean"),
    )
    weather_consistency: float = GROUP.option(
        0.0, "weight of the difference between degraded and clean image; costs a forward pass without gradient", low=0.0
    )
    weather_consistency_of: str = GROUP.option(
        "predictions", "what is to agree: predictions, or features of the backbone", choices=("predictions", "features")
    )
