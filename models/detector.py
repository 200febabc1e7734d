"""Build Ultralytics' detectors from YAML, and look into them.

The result of `build` is exactly `ultralytics.nn.tasks.DetectionModel`: its checkpoint opens wherever Ultralytics is.
"""

from __future__ import annotations

import re
import reprlib
from copy import copy, deepcopy
from functools import cache
from pathlib import Path
from typing import Any

from models.description.cost import MOST_CLASSES
from models.parse import check_layers, our_layers
from utils.errors import UserError, nearest
from utils.files import load_yaml, typed_path
from utils.ultralytics_env import contain_ultralytics

contain_ultralytics()

import ultralytics  # noqa: E402
from ultralytics.nn.tasks import DetectionModel  # noqa: E402
from ultralytics.utils import DEFAULT_CFG  # noqa: E402
from ultralytics.utils.nms import non_max_suppression  # noqa: E402, F401 - for the methods
from ultralytics.utils.tal import TaskAlignedAssigner  # noqa: E402, F401 - for the methods
from ultralytics.utils.torch_utils import get_flops  # noqa: E402

LAYER_ERRORS = (
    ArithmeticError, AssertionError, AttributeError, LookupError, MemoryError, RuntimeError, SyntaxError, TypeError, ValueError,
)  # fmt: skip
"""What building a malformed layer raises."""
FOLDER = Path(__file__).resolve().parent
ULTRALYTICS_MODELS = Path(ultralytics.__file__).parent / "cfg" / "models"
OF_THE_RUN = frozenset({"nc", "scale", "yaml_file", "ch", "channels", "names"})
"""Entries of a description that do not come from its file."""
MOST_LETTERS = 60  # of a file name: each may take 4 of its 255 bytes
REHEARSED: set[str] = set()
"""Descriptions, as text, from which this process has built a network."""
SCALE = re.compile(r"(?<=\d)([nsmlx])(?=$|-)")  # the scale letter in yolov8n, yolo11s, yolov8n-p2


def build(cfg: str | Path | dict[str, Any], names: dict[int, str]) -> DetectionModel:
    """A freshly initialised detector, in training mode, on the CPU, in float32.

    cfg: a YAML of `models/` (`yolov8n`, `models/yolov5m.yaml`), of one's own or of Ultralytics, or its content
    (a checkpoint's `yaml`, YOLOv5's with anchors included). names: class number -> name, numbered 0..n-1.
    `model.args` holds Ultralytics' default gains (box, cls, dfl, epochs, ...) as attributes that may be set.
    Raises UserError for an unknown file, a malformed layer or one that names anything but a module.
    """
    if not names or sorted(names) != list(range(len(names))):
        raise UserError(
            f"class numbers {reprlib.repr(sorted(names))} must run 0, 1, 2, ...; correct `names` in the data YAML."
        )
    if len(names) > MOST_CLASSES:
        raise UserError(f"{len(names)} classes: a detector has at most {MOST_CLASSES}. Check `names`.")
    description = describe(cfg)
    description["nc"] = len(names)
    try:
        key = repr(description)
        with our_layers(known=key in REHEARSED or _is_installed(description)):
            model = DetectionModel(description, verbose=False)
    except LAYER_ERRORS as problem:
        name = description.get("yaml_file", "the network description")
        raise UserError(f"{name}: cannot be built ({problem}); correct that layer.") from problem
    REHEARSED.add(key)
    model.names = dict(names)
    model.args = copy(DEFAULT_CFG)
    model.task = "detect"
    return model


def describe(cfg: str | Path | dict[str, Any]) -> dict[str, Any]:
    """The checked network description (`backbone`, `head`, scales) behind a file name or a checkpoint's `yaml`."""
    if isinstance(cfg, dict):
        description, source = deepcopy(cfg), str(cfg.get("yaml_file", "the checkpoint's network description"))
    else:
        path = find(cfg)
        description, source = load_yaml(path), str(path)
        description |= {"yaml_file": Path(cfg).with_suffix(".yaml").name, "scale": _scale(Path(cfg), description)}
    check_layers(description, source)
    return _anchor_free(description, source)


def _is_installed(description: dict[str, Any]) -> bool:
    """Whether a description is, but for names and scale, that of a file of `models/` or of Ultralytics."""
    name = Path(str(description.get("yaml_file"))[:MOST_LETTERS]).name
    places = [folder / stem for stem in (name, SCALE.sub("", name, count=1)) for folder in (FOLDER, *_model_folders())]
    file = next((place for place in places if place.is_file()), None)
    if file is None:
        return False
    installed = _anchor_free(load_yaml(file), str(file))
    own = {key: value for key, value in description.items() if key not in OF_THE_RUN}
    return own == {key: value for key, value in installed.items() if key not in OF_THE_RUN}


@cache
def _model_folders() -> tuple[Path, ...]:
    """Ultralytics' folders of model YAMLs."""
    return tuple(sorted(path for path in ULTRALYTICS_MODELS.iterdir() if path.is_dir()))


def find(cfg: str | Path) -> Path:
    """The file that holds a model: as given, else by name in `models/`, else among Ultralytics' own.

    Each is tried with the scale letter and without (yolov8n.yaml, yolov8.yaml). Raises UserError with the nearest name.
    """
    path = typed_path(cfg)
    if not path.name:
        raise UserError(f"{str(cfg)!r}: names no model. Expected a model YAML, or a name such as yolov8n.")
    path = path if path.suffix in {".yaml", ".yml"} else path.with_name(f"{path.name}.yaml")
    family = path.with_name(SCALE.sub("", path.stem, count=1) + path.suffix)
    ours = str(path.parent) in {".", FOLDER.name}  # a folder of one's own is meant as it is written
    for name in (path, family):
        elsewhere = (FOLDER / name.name, *sorted(ULTRALYTICS_MODELS.rglob(name.name))) if ours else ()
        found = next((candidate for candidate in (name, *elsewhere) if candidate.is_file()), None)
        if found is not None:
            return found
    guess = nearest(path.stem, available())
    raise UserError(
        f"{cfg}: no such model YAML, neither there nor in models/; "
        + (f"did you mean models/{guess}.yaml?" if guess else f"known models: {', '.join(available())}.")
    )


def available() -> list[str]:
    """Names of the models in `models/`, one for each scale of a family."""
    names = []
    for path in sorted(FOLDER.glob("*.yaml")):
        names += [_scaled(path.stem, scale) for scale in load_yaml(path).get("scales", {})] or [path.stem]
    return names


def _scaled(family: str, scale: str) -> str:
    """yolov8-p2, n -> yolov8n-p2."""
    return re.sub(r"(\d+)(?=$|-)", rf"\g<1>{scale}", family, count=1)


def _scale(path: Path, description: dict[str, Any]) -> str:
    """The scale letter in the file's name, checked against the family's scales; the first scale if it names none."""
    letter, scales = SCALE.search(path.stem), description.get("scales") or {}
    if not isinstance(scales, dict) or not all(isinstance(name, str) for name in scales):
        raise UserError(f"{path}: `scales` must map letters to numbers, such as 'n: [0.33, 0.25, 1024]'.")
    if letter is None:
        return next(iter(scales), "")
    if scales and letter[1] not in scales:
        raise UserError(f"{path}: this family has no scale {letter[1]!r}; its scales are {', '.join(scales)}.")
    return letter[1]


def _anchor_free(description: dict[str, Any], source: str) -> dict[str, Any]:
    """YOLOv5's own descriptions give the head anchors: without them it is the anchor-free head of the same channels."""
    anchors = description.pop("anchors", None)
    head = description["head"][-1]
    if head[2] != "Detect":
        raise UserError(f"{source}: the last layer is {head[2]}, not Detect; only detectors can be used here.")
    if anchors is not None:
        head[3] = head[3][:1]
    return description


def parameters(model: DetectionModel) -> int:
    """Number of parameters, trained or frozen."""
    return sum(parameter.numel() for parameter in model.parameters())


def flops(model: DetectionModel, imgsz: int = 640) -> float:
    """GFLOPs of one image of imgsz x imgsz pixels, a multiply-add counted as two, as Ultralytics reports them."""
    twin = deepcopy(model).eval()  # the counter hangs hooks and buffers on the layers
    return float(get_flops(twin, imgsz))
