"""Every internal of Ultralytics that the project leans on: an upgrade that moves one fails here first.

One small test a seam; the assertion's sentence says who leans on it.
"""

from __future__ import annotations

import inspect
import pickle

import numpy as np
import pytest
import torch
from torch import nn
from ultralytics.engine.exporter import Exporter
from ultralytics.nn import tasks
from ultralytics.nn.modules import CBFuse, Detect
from ultralytics.utils import DEFAULT_CFG, DEFAULT_CFG_DICT, torch_utils


@pytest.fixture(scope="module")
def model():
    return tasks.DetectionModel("yolov8n.yaml", nc=3, verbose=False)


def test_musgd_takes_groups_with_and_without_muon():
    from ultralytics.optim import MuSGD

    matrix, vector = nn.Parameter(torch.eye(2)), nn.Parameter(torch.ones(2))
    groups = [{"params": [matrix], "use_muon": True}, {"params": [vector], "use_muon": False}]
    optimiser = MuSGD(groups, lr=0.1, momentum=0.9, nesterov=True, muon=0.2, sgd=1.0)
    (matrix.sum() + vector.sum()).backward()
    optimiser.step()
    # Nesterov's first step is (1 + 0.9) * gradient
    assert torch.allclose(vector, torch.full((2,), 0.81)), "engine/training/optim.py builds it for --optimizer MuSGD"
    assert not torch.allclose(matrix, torch.eye(2) - 0.19), "and matrices take an orthogonal step besides"


def test_class_weights_are_an_attribute_of_the_model(model):
    from ultralytics.utils.loss import v8DetectionLoss

    model.args, model.class_weights = DEFAULT_CFG, torch.tensor([1.0, 2.0, 0.5])
    loss = v8DetectionLoss(model)
    del model.class_weights
    assert loss.class_weights.shape == (1, 1, 3), (
        "engine/training/module.py sets it for --cls-pw while the loss is made"
    )
    assert v8DetectionLoss(model).class_weights is None


def test_parse_model_is_looked_up_by_name(monkeypatch):
    calls = []

    def parse(description, ch, verbose=True):
        calls.append((description["nc"], ch, verbose))
        return original(description, ch=ch, verbose=verbose)

    original = tasks.parse_model
    monkeypatch.setattr(tasks, "parse_model", parse)
    tasks.DetectionModel("yolov8n.yaml", nc=3, verbose=False)
    assert calls == [(3, 3, False)], "models/parse.py reads rows of ours by replacing tasks.parse_model"


def test_rows_are_marked(model):
    marks = [(layer.i, layer.f) for layer in model.model[:12]]
    assert marks == [(i, -1) for i in range(11)] + [(11, [-1, 6])], "models/graph.py walks the rows by i and f"
    assert all(isinstance(layer.type, str) and layer.np >= 0 for layer in model.model), "models/parse.py sets them too"


def test_module_names_are_globals_of_tasks():
    assert isinstance(vars(tasks)["Conv"], type), "models/parse.py asks tasks' globals which modules per row may name"
    assert tasks.Conv.__module__.startswith("ultralytics.nn.modules."), "models/parse.py knows layers by their package"


def test_stand_ins_keep_channels():
    description = {"nc": 1, "backbone": [[-1, 1, "Conv", [16, 3, 2]], [-1, 1, "Conv", [32, 3, 2]],
                   [-1, 1, "nn.Identity", []], [[0, -1], 1, "CBFuse", [[0]]], [-1, 1, "Conv", [8, 1]]],
                   "head": []}  # fmt: skip
    network, _ = tasks.parse_model(description, ch=3, verbose=False)
    assert isinstance(network[3], CBFuse)
    assert network[4].conv.in_channels == 32, "models/parse.py: Identity hands on its channels, CBFuse the last input's"


def test_activation_is_evaluated():
    assert "eval(act)" in inspect.getsource(tasks.parse_model), (
        "models/parse.py checks `activation` because the parser evaluates it; if it no longer does, the check may go"
    )


def test_names_and_args_may_be_set(model):
    assert {"yaml", "names", "save", "stride", "inplace"} <= set(vars(model)), (
        "engine/checkpoint/__init__.py saves these alone"
    )
    assert list(model._modules) == ["model"], "engine/checkpoint/__init__.py keeps the one child `model`"
    assert {"box", "cls", "dfl", "epochs"} <= set(vars(DEFAULT_CFG)), "models/detector.py sets model.args from it"
    assert {"imgsz", "data", "epochs", "batch", "seed", "task", "mode"} <= set(DEFAULT_CFG_DICT), (
        "engine/checkpoint/__init__.py writes train_args"
    )


def test_a_pickled_detector_names_no_function(model):
    names = [argument for code, argument, _ in __import__("pickletools").genops(pickle.dumps(model, 2))
             if code.name == "GLOBAL"]  # fmt: skip
    assert not any(name.startswith(("__builtin__ getattr", "posix", "builtins")) for name in names), (
        "engine/checkpoint/safe_pickle.py reads their checkpoints without any name that acts"
    )


@pytest.mark.parametrize("name", ["yolov8n.yaml", "yolo26n.yaml"])
def test_the_heads_class_branches(name):
    head = tasks.DetectionModel(name, nc=3, verbose=False).model[-1]
    assert isinstance(head, Detect)
    branches = [branch for branch in ("cv3", "one2one_cv3") if getattr(head, branch, None) is not None]
    for branch in branches:
        for layers in getattr(head, branch):
            assert len(layers) == 3, "engine/checkpoint/__init__.py rebuilds and fills cv3.LEVEL.2 by class name"
            assert isinstance(layers[-1], nn.Conv2d)
            assert layers[-1].out_channels == 3, (
                "engine/checkpoint/__init__.py matches the last layer's rows to classes"
            )
    assert len(branches) == (2 if "26" in name else 1)


@pytest.mark.parametrize("name", ["yolov8n.yaml", "yolo26n.yaml"])
@torch.no_grad()
def test_the_heads_box_branches(name):
    model = tasks.DetectionModel(name, nc=3, verbose=False).eval()
    model.end2end = False
    head, features = model.fuse(verbose=False).model[-1], []
    head.register_forward_pre_hook(lambda _, given: features.extend(given[0]))
    found = model(torch.rand(1, 3, 64, 64))[0]
    boxes = [
        head.cv2[0](features[0]).flatten(2),
        head.cv3[0](features[0]).flatten(2),
    ]  # (1, 4 * reg_max, 64), (1, 3, 64)
    centres = torch.stack([torch.arange(64) % 8, torch.arange(64) // 8]) + 0.5  # (2, 64)
    decoded = head.decode_bboxes(head.dfl(boxes[0]), centres[None]) * head.stride[0]
    expected = torch.cat([decoded, boxes[1].sigmoid()], 1)
    torch.testing.assert_close(found[..., :64], expected, msg="engine/inference/backends/candidates.py computes it so")


def test_an_end2end_head_can_be_switched_off():
    model = tasks.DetectionModel("yolo26n.yaml", nc=3, verbose=False).eval()
    model.end2end = False
    with torch.no_grad():
        assert model(torch.zeros(1, 3, 64, 64))[0].shape == (1, 7, 84), (
            "engine/exporters/detector.py compares raw predictions"
        )


def test_pretrained_heads_keep_their_width():
    pretrained = tasks.DetectionModel("yolov8n.yaml", nc=80, verbose=False)
    model = tasks.DetectionModel("yolov8n.yaml", nc=3, verbose=False)
    own = model.model[-1].cv3[0][-1].in_channels
    model.load(pretrained, verbose=False)
    assert (own, model.model[-1].cv3[0][-1].in_channels) == (64, 80), (
        "engine/checkpoint/__init__.py widens class branches to read such files; if both are 64, that can go"
    )


def test_flops_are_counted(model):
    assert torch_utils.get_flops(model, 640) > 1, "models/detector.py counts GFLOPs with it (needs ultralytics-thop)"


def test_the_exporter_takes_a_model():
    assert list(inspect.signature(Exporter.__call__).parameters) == ["self", "model"], (
        "engine/exporters/detector.py calls it"
    )
    source = inspect.getsource(Exporter.__call__)
    assert 'getattr(model, "pt_path", None)' in source, (
        "engine/exporters/detector.py says by pt_path where the file goes"
    )
    assert {"nms", "quantize", "dynamic", "simplify", "opset", "max_det"} <= set(DEFAULT_CFG_DICT), (
        "engine/exporters/detector.py passes these"
    )


def test_geometry_has_an_image_part_of_its_own():
    """data/detection/transforms.py applies it to the other images of a pair, with the parameters drawn for the first."""
    from ultralytics.data import augment

    for name in ("Mosaic", "MixUp", "CutMix", "RandomPerspective", "RandomFlip"):
        kind = getattr(augment, name)
        assert list(inspect.signature(kind.apply_image).parameters) == ["self", "labels", "params"], name
    source = inspect.getsource(augment.Mosaic.apply_image)
    assert 'params["layout"]' in source and 'item["labels_patch"]' in source, "tiles are found there"
    for kind in (augment.MixUp, augment.CutMix):
        assert 'labels["mix_labels"][0]' in inspect.getsource(kind.apply_image), "the other image is found there"


def test_mosaic_draws_from_the_whole_set_when_cached():
    from ultralytics.data.augment import Mosaic

    assert 'self.dataset.cache != "ram"' in inspect.getsource(Mosaic.__init__), (
        "data/detection/dataset.py sets cache = 'ram', so that a mosaic does not depend on what was loaded before"
    )


def test_mixing_asks_one_method_for_the_other_images():
    """data/detection/transforms.py overrides it, to draw from the images that were loaded lately."""
    from ultralytics.data.augment import BaseMixTransform, CutMix, MixUp, Mosaic

    source = inspect.getsource(BaseMixTransform.get_params)
    assert "indexes = self.get_indexes()" in source and "self.dataset.get_image_and_label(i) for i in indexes" in source
    for kind in (Mosaic, MixUp, CutMix):
        assert "super().get_params(labels)" in inspect.getsource(kind.get_params), f"{kind.__name__} draws there"
        assert list(inspect.signature(kind.get_indexes).parameters) == ["self"]
        assert "get_indexes" not in inspect.getsource(kind.get_params), "and nowhere else"


def test_transforms_draw_from_the_global_generators():
    from ultralytics.data import augment

    source = inspect.getsource(augment)
    assert "random.uniform(" in source and "np.random.uniform(" in source, (
        "data/detection/dataset.py seeds random and np.random"
    )
    assert (
        "default_rng" not in source
        and "torch.rand" not in source.split("class ClassifyLetterBox")[0].split("def classify_")[0]
    )


def test_dataset_hooks_that_views_override():
    from ultralytics.data.dataset import YOLODataset

    for name in ("get_img_files", "get_labels", "build_transforms", "load_image", "get_image_and_label", "collate_fn"):
        assert callable(getattr(YOLODataset, name)), f"data/detection/dataset.py overrides or calls {name}"
    assert isinstance(inspect.getattr_static(YOLODataset, "collate_fn"), staticmethod)


def test_the_loss_is_a_vector_times_the_batch_with_named_items(model):
    model.args = DEFAULT_CFG
    model.train()
    criterion = model.init_criterion()
    batch = {"batch_idx": torch.zeros(1), "cls": torch.zeros(1, 1), "bboxes": torch.tensor([[0.5, 0.5, 0.5, 0.5]])}
    loss, items = criterion(model(torch.zeros(2, 3, 64, 64)), batch)
    assert list(items) == ["box_loss", "cls_loss", "dfl_loss"], "engine/training/module.py logs these"
    assert torch.allclose(loss.detach(), 2 * torch.stack(list(items.values()))), (
        "engine/training/module.py sums the vector"
    )


def test_the_assigner_returns_target_scores_third(model):
    assert "_, target_bboxes, target_scores, fg_mask" in inspect.getsource(
        type(model.init_criterion()).get_assigned_targets_and_loss
    ), "engine/training/distributed.py sums the third result over ranks"
    assert "target_scores_sum = target_scores.sum().clamp_(min=1)" in inspect.getsource(
        type(model.init_criterion()).get_assigned_targets_and_loss
    ), "engine/training/distributed.py rescales a loss that was divided by this sum"


def test_the_loss_is_what_one_method_returns(model):
    """models/loss/detection.py takes its place; tests/models/loss/test_detection.py compares the bits."""
    model.args = DEFAULT_CFG
    criterion = model.init_criterion()
    criterion.get_assigned_targets_and_loss = lambda preds, batch: (None, torch.ones(3), {"a": 1})
    loss, items = criterion.loss({"boxes": torch.zeros(2, 1, 1)}, {})
    assert loss.tolist() == [2, 2, 2] and items == {"a": 1}


def test_yolo26_has_two_branches_and_a_schedule():
    network = tasks.DetectionModel("yolo26n.yaml", nc=3, verbose=False)
    network.args = DEFAULT_CFG
    criterion = network.init_criterion()
    assert criterion.one2many.assigner and criterion.one2one.assigner, (
        "engine/training/module.py replaces both assigners"
    )
    before = criterion.o2m
    criterion.update()
    assert criterion.o2m <= before, "engine/training/trainer.py moves the weights of the two branches once per epoch"


def test_the_moving_average_is_a_copy_with_a_count():
    ema = torch_utils.ModelEMA(nn.Linear(2, 2))
    assert ema.updates == 0 and not ema.ema.training, (
        "engine/training/trainer.py saves ema.ema and restores ema.updates"
    )
    assert list(inspect.signature(ema.update).parameters) == ["model"]


def test_nms_gives_sorted_rows_and_knows_no_hurry():
    from ultralytics.utils.nms import non_max_suppression

    wanted = {"conf_thres", "iou_thres", "classes", "agnostic", "multi_label", "max_det", "max_time_img", "end2end"}
    assert wanted <= set(inspect.signature(non_max_suppression).parameters), (
        "engine/evaluation/evaluator.py and engine/inference/predictor.py"
    )
    rows = torch.tensor([[20.0, 20, 10, 10, 0.3], [60, 60, 10, 10, 0.9]]).T[None]  # (1, 4 + classes, boxes)
    (found,) = non_max_suppression(rows, 0.1, 0.5, max_time_img=float("inf"))
    assert found.shape == (2, 6) and found[:, 4].tolist() == pytest.approx([0.9, 0.3]), "by descending confidence"


def test_matching_needs_only_the_levels():
    from types import SimpleNamespace

    from ultralytics.engine.validator import BaseValidator

    stand_in = SimpleNamespace(iouv=torch.linspace(0.5, 0.95, 10))
    iou = torch.tensor([[0.72]])
    right = BaseValidator.match_predictions(stand_in, torch.zeros(1), torch.zeros(1), iou)
    assert right.tolist() == [[True] * 5 + [False] * 5], (
        "engine/evaluation/evaluator.py matches with it: 0.50 to 0.70 are reached"
    )


def test_metrics_take_one_image_at_a_time():
    from ultralytics.utils.metrics import DetMetrics

    metrics = DetMetrics({0: "thing"})
    one = {"tp": np.ones((1, 10), bool), "conf": np.array([0.9]), "pred_cls": np.zeros(1), "target_cls": np.zeros(1)}
    metrics.update_stats({**one, "target_img": np.zeros(1), "im_name": "a.jpg"})
    metrics.process()
    assert metrics.mean_results()[2] == pytest.approx(0.995), "engine/evaluation/evaluator.py averages with it"


def test_importing_ultralytics_replaces_image_open():
    from PIL import Image

    assert Image.open.__module__.startswith("ultralytics"), (
        "data/io/images.py catches what its replacement raises; may go if not"
    )


def test_the_assigner_can_be_wrapped():
    from ultralytics.utils.tal import TaskAlignedAssigner

    names = ["self", "pd_scores", "pd_bboxes", "anc_points", "gt_labels", "gt_bboxes", "mask_gt"]
    assert list(inspect.signature(TaskAlignedAssigner.forward).parameters)[:7] == names, "methods/rfla_assigner.py"
    theirs = TaskAlignedAssigner(topk=10, num_classes=2, stride=[8, 16], topk2=1)
    assert (theirs.topk2, list(theirs.stride)) == (1, [8, 16]), (
        "methods/rfla_assigner.py tells branch and levels by these"
    )


def test_the_box_loss_is_weighed_by_its_fifth_argument():
    from ultralytics.utils.loss import BboxLoss

    names = list(inspect.signature(BboxLoss.forward).parameters)
    assert names[5] == "target_scores", "methods/rfla_assigner.py puts its own weights there"
    assert "weight = target_scores[fg_mask].sum(-1, keepdim=True)" in inspect.getsource(BboxLoss.forward)


def test_points_come_level_by_level_row_by_row_at_the_middle_of_their_cells():
    from ultralytics.utils.tal import make_anchors

    places, strides = make_anchors([torch.zeros(1, 1, 2, 3), torch.zeros(1, 1, 1, 2)], torch.tensor([8, 16]), 0.5)
    assert (places * strides)[:4].tolist() == [[4, 4], [12, 4], [20, 4], [4, 12]], "methods/rfla_assigner.py"
    assert strides.flatten().tolist() == [8] * 6 + [16] * 2


def test_trackers_take_boxes_and_return_the_number_of_each_detection():
    pytest.importorskip("lap")
    from ultralytics.engine.results import Boxes
    from ultralytics.trackers.track import TRACKER_MAP
    from ultralytics.utils import YAML, IterableSimpleNamespace
    from ultralytics.utils.checks import check_yaml

    from engine.options.detect import TRACKERS

    assert set(TRACKERS) - {"none"} == set(TRACKER_MAP), "engine/options/detect.py lists them for --track"
    rows = np.array([[0, 0, 10, 10, 0.05, 0], [20, 20, 60, 80, 0.9, 1]], np.float32)
    for name, kind in TRACKER_MAP.items():
        settings = YAML.load(check_yaml(f"{name}.yaml"))
        names = {"track_buffer", "track_high_thresh", "track_low_thresh", "new_track_thresh"}
        assert names <= set(settings), f"engine/tracking/trackers.py sets them for {name}"
        found = kind(args=IterableSimpleNamespace(**settings)).update(
            Boxes(rows, (100, 100)), np.zeros((100, 100, 3), "u1")
        )
        assert found[:, [4, 7]].tolist() == [[1, 1]], "engine/tracking/trackers.py reads identity and detection there"


def test_trackers_apply_their_matches_in_one_method():
    pytest.importorskip("lap")
    import inspect

    from ultralytics.trackers.byte_tracker import BYTETracker, STrack
    from ultralytics.trackers.track import TRACKER_MAP
    from ultralytics.trackers.utils.kalman_filter import KalmanFilterXYAH, KalmanFilterXYWH

    why = "engine/tracking/batched.py corrects the tracks of all matches there"
    for name, kind in TRACKER_MAP.items():
        assert issubclass(kind, BYTETracker) is (name != "tracktrack"), why
    given = ["self", "matches", "pool", "detections", "activated", "refind"]
    assert list(inspect.signature(BYTETracker._apply_matches).parameters) == given, why
    assert isinstance(STrack.xyxy, property) and isinstance(STrack.tlwh, property), why
    mean = np.arange(10.0, 18.0)
    for kind, deviations in ((KalmanFilterXYAH, [0.65, 0.65, 0.1, 0.65]), (KalmanFilterXYWH, [0.6, 0.65, 0.6, 0.65])):
        noise = kind().project(mean, np.zeros((8, 8)))[1]
        np.testing.assert_allclose(noise, np.diag(np.square(deviations)), err_msg=why)
