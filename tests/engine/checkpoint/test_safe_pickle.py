"""Files that try to act when they are read: nothing runs, and the name they asked for is on record."""

from __future__ import annotations

import io
import os
import pickle
import subprocess
import zipfile
from argparse import Namespace
from collections import OrderedDict, defaultdict
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
import torch
from torch import nn

from engine.checkpoint.safe_pickle import Placeholder, can_act, read
from utils.errors import UserError


class Call:
    """Pickles as the call of a function."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments

    def __call__(self):
        """Only what can be called may stand in a call's place."""


def attacks(marker: Path) -> dict[str, tuple[object, str]]:
    """Live examples, each of which would make the marker file if it were run; and the name on which it must stop."""
    touch, write = f"touch {marker}", f"open({str(marker)!r}, 'w')"
    buffer = io.BytesIO()
    torch.save(Call(os.system, touch), buffer)
    return {
        "os.system": (Call(os.system, touch), "posix.system"),
        "exec": (Call(exec, write), "builtins.exec"),
        "eval": (Call(eval, write), "builtins.eval"),
        "open": (Call(open, str(marker), "w"), "io.open"),
        "subprocess": (Call(subprocess.Popen, ["touch", str(marker)]), "subprocess.Popen"),
        "reduce chain": (Call(Call(getattr, Call(__import__, "os"), "system"), touch), "builtins.__import__"),
        "nested torch.load": (Call(torch.storage._load_from_bytes, buffer.getvalue()), "storage._load_from_bytes"),
        "nested pickle": (Call(pickle.loads, pickle.dumps(Call(os.system, touch))), "pickle.loads"),
        "partial": (Call(partial(os.system, touch)), "posix.system"),
        "map": (Call(list, Call(map, os.system, [touch])), "builtins.map"),
        "in a state dict": ({"z": Call(os.system, touch), "a.weight": torch.zeros(2)}, "posix.system"),
        "as a key": ({Call(PurePosixPath, Call(os.system, touch)): 1}, "posix.system"),
        "path": (Call(os.remove, str(marker)), "posix.remove"),
        "torch.load": (Call(torch.load, str(marker)), "torch.serialization.load"),
        "numpy": (Call(np.load, str(marker)), "numpy.load"),
    }


ATTACKS = sorted(attacks(Path("unused")))


@pytest.mark.parametrize("container", ["zip", "legacy", "bare pickle"])
@pytest.mark.parametrize("attack", ATTACKS)
def test_attacks_are_refused_by_name(tmp_path, attack, container):
    marker, file = tmp_path / "ran", tmp_path / "evil.pt"
    content, asked = attacks(marker)[attack]
    if container == "bare pickle":
        file.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, file, _use_new_zipfile_serialization=container == "zip")
    with pytest.raises(UserError) as refusal:
        read(file)
    expected = "not a readable checkpoint" if container == "bare pickle" else f"{asked}, which can run code"
    assert expected in str(refusal.value)
    assert "evil.pt" in str(refusal.value)
    assert not marker.exists()


def test_the_attacks_are_live(tmp_path):
    """The ordinary way does run them: otherwise the test above would prove nothing."""
    marker = tmp_path / "ran"
    pickle.loads(pickle.dumps(Call(os.system, f"touch {marker}")))
    assert marker.exists()


def archive(path: Path, program: bytes) -> Path:
    """A file of torch.save that holds this pickle and no storages."""
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("archive/data.pkl", program)
        file.writestr("archive/version", "3\n")
    return path


@pytest.mark.parametrize(
    ("opcodes", "asked"),
    [
        (b"\x80\x02cos\nsystem\n{0}\x85R.", "os.system"),  # GLOBAL, REDUCE
        (b"\x80\x02c__builtin__\nexec\n{0}\x85R.", "builtins.exec"),  # the name of Python 2
        (b"\x80\x02cbuiltins\nlist.append\n.", "builtins.list.append"),  # a dotted name
        (b"\x80\x02cos\nsystem\n)\x81.", "os.system"),  # NEWOBJ
        (b"\x80\x02cnt\nsystem\n.", "nt.system"),  # of another operating system
        (b"cos\nsystem\n(S'touch x'\ntR.", None),  # STRING and the other opcodes are not read at all
        (b"(S'touch x'\nios\nsystem\n.", None),  # INST
        (b"(cos\nsystem\nS'touch x'\no.", None),  # OBJ
        (b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x01x\x85R.", None),  # STACK_GLOBAL
        (b"\x80\x04\x8c\x08builtins\x8c\x0blist.append\x93.", None),
        (b"\x80\x02\x82\x01.", None),  # EXT1
    ],
)
def test_opcodes_by_hand(tmp_path, opcodes, asked):
    marker = tmp_path / "ran"
    command = f"touch {marker}".encode()
    file = archive(tmp_path / "x.pt", opcodes.replace(b"{0}", b"U" + bytes([len(command)]) + command))
    with pytest.raises(UserError, match=f"{asked}, which can run code" if asked else "not a readable checkpoint"):
        read(file)
    assert not marker.exists()


def test_a_name_that_only_appears_while_reading_is_refused(tmp_path):
    """What is called must be on the list of names that were checked, however it came onto the stack."""
    file = archive(tmp_path / "x.pt", b"\x80\x02ccollections\nOrderedDict\n)RU\x04keysU\x01x\x85R.")
    with pytest.raises(UserError, match="not a readable checkpoint"):
        read(file)


def test_getattr_is_read_but_not_called(tmp_path):
    """Real checkpoints hold bound methods, which pickle as getattr(module, name)."""
    torch.save(Call(getattr, Call(Namespace), "system"), tmp_path / "x.pt")
    found = read(tmp_path / "x.pt")
    assert isinstance(found, Placeholder)
    assert found.kind == "builtins.getattr"
    assert found.arguments[1] == "system"


def test_what_a_file_writes_on_names_ends_with_it(tmp_path):
    """BUILD may set attributes on what a name leads to; the next file must not see them."""
    poison = b"\x80\x02ccollections\nOrderedDict\nN}U\x08poisonedK\x01s\x86b."
    allowed = torch.serialization.get_safe_globals()
    with pytest.raises(UserError, match="not a readable checkpoint"):
        read(archive(tmp_path / "poison.pt", poison))
    torch.save(OrderedDict(a=1), tmp_path / "again.pt")
    assert not hasattr(type(read(tmp_path / "again.pt")), "poisoned")
    assert set(torch.serialization.get_safe_globals()) == set(allowed)


@pytest.mark.parametrize(
    ("module", "name", "expected"),
    [
        ("os.path", "join", True),
        ("shutil", "rmtree", True),
        ("runpy", "run_path", True),
        ("socket", "create_connection", True),
        ("builtins", "breakpoint", True),
        ("torch.hub", "load", True),
        ("torch.utils.cpp_extension", "load", True),
        ("types", "FunctionType", True),
        ("builtins", "set", False),
        ("torch.nn.modules.conv", "Conv2d", False),
        ("ultralytics.nn.tasks", "DetectionModel", False),
        ("models.yolo", "Model", False),
        ("pathlib", "PosixPath", False),
        ("numpy.core.multiarray", "scalar", False),
    ],
)
def test_can_act(module, name, expected):
    assert can_act(module, name) is expected


class Odd(nn.Module):
    """A network of a class that a reader cannot know."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(2, 3)
        self.register_buffer("count", torch.tensor(7))
        self.where, self.score = Path("somewhere"), np.float64(0.5)


def test_unknown_classes_become_inert(tmp_path):
    network = Odd()
    torch.save({"model": network, "args": Namespace(lr=1), "seen": defaultdict(int, a=1)}, tmp_path / "odd.pt")
    content = read(tmp_path / "odd.pt")
    model = content["model"]
    assert isinstance(model, Placeholder)
    assert model.kind.endswith("test_safe_pickle.Odd")
    assert torch.equal(model.state["_modules"]["inner"].state["_parameters"]["weight"], network.inner.weight)
    assert model.state["_buffers"]["count"] == 7
    assert all(isinstance(model.state[key], Placeholder) for key in ("where", "score"))
    assert content["args"].kind == "argparse.Namespace"
    assert content["seen"] == {"a": 1}


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(
    "dtype",
    [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8,
     torch.uint8, torch.bool],
)  # fmt: skip
def test_tensors_are_read_as_torch_reads_them(tmp_path, dtype, zipped):
    whole = torch.arange(24).reshape(4, 6).to(dtype)
    content = {
        "whole": whole,
        "view": whole[1:3, ::2],  # shares the storage, with strides
        "transposed": whole.T,
        "parameter": nn.Parameter(whole.float()),
        "empty": torch.empty(0, 3, dtype=dtype),
        "scalar": torch.tensor(1).to(dtype),
        "size": whole.shape,
        "dtype": dtype,
        "mixed": [1, 2.5, "text", None, True, (1, 2), {3}, b"raw"],
    }
    torch.save(content, tmp_path / "t.pt", _use_new_zipfile_serialization=zipped)
    found = read(tmp_path / "t.pt")
    for key in ("whole", "view", "transposed", "parameter", "empty", "scalar"):
        assert found[key].dtype == content[key].dtype
        assert torch.equal(found[key], content[key])
    assert (found["size"], found["dtype"]) == ((4, 6), dtype)
    assert found["mixed"] == content["mixed"]


def test_legacy_views_of_one_storage(tmp_path):
    whole = torch.arange(6.0)
    torch.save([whole[2:4], whole], tmp_path / "v.pt", _use_new_zipfile_serialization=False)
    part, again = read(tmp_path / "v.pt")
    assert part.tolist() == [2, 3]
    assert again.tolist() == [0, 1, 2, 3, 4, 5]


def saved(path: Path, zipped: bool = True) -> bytes:
    torch.save({"w": torch.arange(1000.0)}, path, _use_new_zipfile_serialization=zipped)
    return path.read_bytes()


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_truncated_files_are_named(tmp_path, zipped, share):
    file = tmp_path / "cut.pt"
    whole = saved(file, zipped)
    file.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(UserError, match=r"cut\.pt: this is not a readable checkpoint"):
        read(file)


@pytest.mark.parametrize(
    "content", [b"", b"\x80", b"\x80\x02", b"\x80\x02K\x01.", b"PK\x03\x04", b"\x00" * 300, b"text", pickle.dumps([1])]
)
def test_other_files_are_named(tmp_path, content):
    (tmp_path / "x.pt").write_bytes(content)
    with pytest.raises(UserError, match="not a readable checkpoint"):
        read(tmp_path / "x.pt")


def test_archives_of_another_kind_are_named(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.pt", "w") as archive:
        archive.writestr("readme.txt", "no weights")
    with pytest.raises(UserError, match=r"x\.pt: this is not a readable checkpoint"):
        read(tmp_path / "x.pt")


@pytest.mark.filterwarnings("ignore")
def test_torchscript_is_named(tmp_path):
    torch.jit.save(torch.jit.script(nn.Linear(1, 1)), tmp_path / "x.pt")
    with pytest.raises(UserError, match="torchscript checkpoint"):
        read(tmp_path / "x.pt")


def test_a_tensor_beyond_its_storage_is_refused(tmp_path):
    """Sizes come from the pickle, bytes from the archive: a mismatch must not read foreign memory."""
    saved(tmp_path / "good.pt")
    with zipfile.ZipFile(tmp_path / "good.pt") as good, zipfile.ZipFile(tmp_path / "bad.pt", "w") as bad:
        for name in good.namelist():
            bad.writestr(name, good.read(name)[:40] if name.endswith("data/0") else good.read(name))
    with pytest.raises(UserError, match="not a readable checkpoint"):
        read(tmp_path / "bad.pt")


@pytest.mark.parametrize("pid", [b"U\x01x", b"U\x01xK\x01", b"U\x07storageK\x01U\x01aU\x01bK\x01", b"]U\x01x"])
def test_malformed_persistent_ids_are_refused(tmp_path, pid):
    with pytest.raises(UserError, match=r"x\.pt: this is not a readable checkpoint"):
        read(archive(tmp_path / "x.pt", b"\x80\x02(" + pid + b"tQ."))


def test_source_code_in_an_old_file_is_not_compared(tmp_path, monkeypatch):
    """torch can compare a class with the source in the file and write NAME.patch: here the file is refused instead."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    torch.save(Odd(), tmp_path / "in" / "odd.pt", _use_new_zipfile_serialization=False)
    file = tmp_path / "in" / "odd.pt"
    file.write_bytes(file.read_bytes().replace(b"nn.Linear(2, 3)", b"nn.Linear(3, 2)"))
    with pytest.raises(UserError, match=r"odd\.pt: .*a whole network in the format from before torch 1\.6"):
        read(file)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_the_real_yolov5_checkpoint(shared):
    content = read(shared / "data" / "weights" / "yolov5n_v6.1_coco.pt")
    assert content["model"].kind == "models.yolo.Model"
    assert content["model"].state["yaml"]["depth_multiple"] == 0.33
