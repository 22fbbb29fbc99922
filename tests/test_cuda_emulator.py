"""The emulator of a CUDA device (tests/cuda_emulator), by its own self-test in C++."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent / "cuda_emulator"
ORDERS = ["forward", "reverse", "random:1", "random:2"]


@pytest.fixture(scope="module")
def selftest(tmp_path_factory):
    if sys.platform != "linux" or shutil.which("g++") is None:
        pytest.skip("the emulator's self-test takes Linux and g++")
    program = tmp_path_factory.mktemp("emulator") / "selftest"
    command = ["g++", "-std=c++17", "-pthread", "-DPROBSIG_CUDA_EMULATED", f"-I{HERE / 'include'}"]
    compiled = subprocess.run(
        [*command, HERE / "selftest.cpp", "-o", program], capture_output=True, text=True
    )
    assert compiled.returncode == 0, compiled.stderr

    def run(*arguments, **environment):
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("PROBSIG_EMULATOR_")}
        return subprocess.run(
            [program, *arguments], capture_output=True, text=True, env=inherited | environment
        )

    return run


@pytest.mark.parametrize("order", ORDERS)
def test_kernels_and_algorithms(selftest, order):
    result = selftest(PROBSIG_EMULATOR_ORDER=order)
    assert (result.returncode, result.stdout) == (0, "passed\n"), result.stderr


def test_with_protected_device_memory(selftest):
    result = selftest(PROBSIG_EMULATOR_PROTECT="1")
    assert (result.returncode, result.stdout) == (0, "passed\n"), result.stderr


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("deadlock", "32 of the 64 threads of a block wait, and no other is left to come"),
        ("two_barriers", "thread (32,0,0) is at __syncthreads"),
        ("own_lane_left_out", "which leaves out its own lane 16"),
        ("lane_ended", "thread (3,0,0) has ended, but lane 0 waits for it at __syncwarp"),
        ("partial_warp", "lanes 0xffffff00 of it have ended or never were"),
        ("different_calls", "but lane 0 of its mask 0xffffffff calls __ballot_sync"),
        ("different_widths", "with another width or type"),
        ("shuffle_from_outside", "lane 0 reads lane 20, which is not in the mask 0x0000ffff"),
        ("host_pointer", "an address of the host or of freed memory"),
        ("sort_host_memory", "5 items of 4 bytes"),
    ],
)
def test_faults_are_found(selftest, fault, message):
    result = selftest(fault)
    assert result.returncode == -signal.SIGABRT
    assert "emulator: " in result.stderr
    assert message in result.stderr


def test_the_host_may_not_touch_protected_device_memory(selftest):
    result = selftest("touch_device_memory")
    assert (result.returncode, result.stdout) == (-signal.SIGSEGV, "")


def test_a_missing_barrier_shows_in_another_order(selftest):
    def results(kernel):
        return {selftest(kernel, PROBSIG_EMULATOR_ORDER=order).stdout for order in ORDERS}

    assert len(results("barrier_there")) == 1
    assert len(results("barrier_missing")) == len(ORDERS)


def test_a_misspelt_order_is_an_error(selftest):
    result = selftest(PROBSIG_EMULATOR_ORDER="backwards")
    assert result.returncode == -signal.SIGABRT
    assert "expected forward, reverse or random:SEED, got 'backwards'" in result.stderr
