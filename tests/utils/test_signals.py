"""utils.signals: SIGTERM as Ctrl-C, for a while."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from utils.signals import _SignalStack, kept_signal_stack, leave, scratch_folder, stopped_by_sigterm


def test_sigterm_is_a_ctrl_c_inside_and_what_it_was_outside() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), stopped_by_sigterm():
        os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) == before


def test_other_threads_leave_signals_alone() -> None:
    seen = []

    def work() -> None:
        with stopped_by_sigterm():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGTERM)]


def test_leaving_is_nothing_where_nobody_hangs() -> None:
    assert leave(3) == 3


def test_a_thread_that_hangs_does_not_hold_the_process() -> None:
    program = (
        "import threading, time, sys; from utils.signals import abandon, leave\n"
        "thread = threading.Thread(target=time.sleep, args=(60,), daemon=False); thread.start(); abandon(thread)\n"
        "print('said'); sys.exit(leave(130))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30)  # noqa: S603
    assert (done.returncode, done.stdout) == (130, "said\n")


def test_a_scratch_folder_is_removed_whatever_ends_the_process(tmp_path: Path) -> None:
    with scratch_folder() as folder:
        (folder / "a").write_text("a")
    assert not folder.exists()
    program = (
        "import threading, time, sys; from utils.signals import abandon, leave, scratch_folder\n"
        "def work():\n"
        "    with scratch_folder() as folder:\n        (folder / 'a').write_text('a'); time.sleep(60)\n"
        "thread = threading.Thread(target=work, daemon=True); thread.start(); abandon(thread)\n"
        "time.sleep(0.5); sys.exit(leave(130))"
    )
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, timeout=30)  # noqa: S603
    assert done.returncode == 130 and list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="sigaltstack is looked at on Linux alone")
def test_a_library_may_not_change_the_stack_of_signals() -> None:
    library, memory = ctypes.CDLL(None), ctypes.create_string_buffer(1 << 16)

    def stack() -> tuple[int | None, int, int]:
        found = _SignalStack()
        library.sigaltstack(None, ctypes.byref(found))
        return found.start, found.flags, found.size

    before = stack()
    with kept_signal_stack():
        library.sigaltstack(ctypes.byref(_SignalStack(ctypes.addressof(memory), 0, 1 << 16)), None)
        assert stack() == (ctypes.addressof(memory), 0, 1 << 16)
    assert stack() == before
