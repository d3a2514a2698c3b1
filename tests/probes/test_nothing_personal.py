# ruff: noqa: E501  files of a machine, line for line as they stand there
"""Evidence is an allow-list: secrets planted wherever a probe reads, or could be tempted to read, do not come out."""

from __future__ import annotations

import json
import string
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envcheck import discover
from envcheck.probes._redact import Redactor
from tests.probes.machine_tree import host, tree, write

SECTIONS = discover.names("envcheck.probes")
# Letters alone, so that no pattern (address, token, UUID) gives the word away: what is kept back is kept back by its place.
words = st.text(string.ascii_lowercase, min_size=12, max_size=16).map(lambda word: f"zq{word}qz")

USER, HOST, MAIL = "jdoe4711", "gpu-node-17.corp.example", "jane.doe@corp.example"
UUID, MAC, BUS, IP = "1f2e3d4c-5b6a-7988-a7b6-c5d4e3f2a1b0", "9c:6b:00:4f:aa:01", "0000:65:00.0", "10.20.30.40"
TOKENS = (
    "hf_AbCdEfGhIjKlMnOpQrStUvWxYz012345",
    "sk-proj-abcdefghijklmnop1234567890",
    "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
)
PERSONAL = (USER, HOST, MAIL, UUID, MAC, BUS, IP, *TOKENS)


def planted(word: str) -> dict[str, str | bytes]:
    """Files of a machine with `word` wherever free text may stand."""
    site = "/opt/venv/lib/python3.12/site-packages"
    return {
        "/etc/hostname": word,
        "/etc/os-release": f'ID=ubuntu\nVERSION_ID="22.04"\nPRETTY_NAME="{word}"\nHOME_URL="https://{word}"\n',
        "/etc/group": f"render:x:110:{word}\n{word}:x:1000:\n",
        "/proc/sys/kernel/hostname": word,
        "/proc/version": f"Linux version 6.8.0 ({word}@{word}) (gcc)\n",
        "/proc/cpuinfo": f"model name\t: AMD EPYC 7763\nSerial\t: {word}\nflags\t: avx2\n",
        "/proc/self/cgroup": f"0::/user.slice/{word}.scope\n",
        "/proc/1/cgroup": f"0::/docker/{word}\n",
        "/proc/cmdline": f"root=UUID={word} iommu=pt {word}=1 ip={word}\n",
        "/sys/class/dmi/id/sys_vendor": f"{word}\n",
        "/sys/class/dmi/id/product_name": f"{word}\n",
        "/sys/class/dmi/id/product_serial": f"{word}\n",
        "/sys/class/dmi/id/product_uuid": f"{word}\n",
        "/proc/driver/nvidia/gpus/0000:65:00.0/information": f"Model: \t NVIDIA H100\nGPU UUID: \t {word}\nVideo BIOS: {word}\n",
        "/sys/class/kfd/kfd/topology/nodes/1/properties": f"simd_count 192\ngfx_target_version 110000\nname {word}\n",
        "/opt/venv/pyvenv.cfg": f"home = /home/{word}/bin\nversion = 3.12.3\nprompt = {word}\ncommand = {word}\n",
        "/opt/venv/pip.conf": f"[global]\nindex-url = https://{word}:{word}@{word}.example/{word}/simple\nproxy = {word}\n",
        f"{site}/torch-2.6.0.dist-info/METADATA": f"Name: torch\nVersion: 2.6.0\nAuthor: {word}\nAuthor-email: {word}\n\n{word}",
        f"{site}/torch-2.6.0.dist-info/direct_url.json": f'{{"url": "file:///home/{word}/torch.whl", "archive_info": {{}}}}',
        f"{site}/vllm-0.9.0.dist-info/METADATA": "Name: vllm\nVersion: 0.9.0\n\n",
        f"{site}/vllm-0.9.0.dist-info/direct_url.json": f'{{"url": "https://{word}@{word}/vllm", "dir_info": {{"editable": true}}}}',
        f"{site}/vllm-0.9.0.dist-info/INSTALLER": word,
        f"{site}/{word}.pth": f"/home/{word}/src\n",
        "/etc/docker/daemon.json": f'{{"registry-mirrors": ["https://{word}"], "runtimes": {{"nvidia": {{"path": "{word}"}}}}}}',
        "/etc/cdi/nvidia.yaml": f"kind: nvidia.com/gpu\ndevices:\n  - name: GPU-{word}\n  - name: '0'\n    path: /home/{word}\n",
    }


@settings(max_examples=25, deadline=None)
@given(word=words)
def test_words_planted_in_files_stay_there(word: str) -> None:
    with TemporaryDirectory() as folder:
        root = tree(Path(folder))
        write(root, planted(word))
        machine = host(root, {"HOME": f"/home/{word}", "USER": word, "LOGNAME": word, "HOSTNAME": word})
        for section in SECTIONS:
            evidence = discover.load("envcheck.probes", section, "PROBE").collect(machine)
            assert word not in json.dumps(evidence), section


VARIABLES = {
    "HF_TOKEN": "{}",
    "HUGGING_FACE_HUB_TOKEN": "{}",
    "VLLM_API_KEY": "{}",
    "OLLAMA_AUTH": "{}",
    "AWS_SECRET_ACCESS_KEY": "{}",
    "SSH_CLIENT": "{}",
    "HOSTNAME": "{}",
    "UV_INDEX_PRIVATE_PASSWORD": "{}",
    "PIP_INDEX_URL": "https://{0}:{0}@{0}.example/{0}/simple?key={0}",
    "UV_INDEX": "corp=https://{0}@{0}.example/simple",
    "HF_HOME": "/home/{}/hf",
    "LD_LIBRARY_PATH": "/home/{0}/lib:/Users/{0}/lib:/usr/lib",
    "OLLAMA_HOST": "http://{0}:{0}@{0}.example:11434",
    "HF_ENDPOINT": "https://{}.internal",
    "VIRTUAL_ENV": "/opt/{}/venv",
    "CONDA_DEFAULT_ENV": "{}",
}


@settings(max_examples=50, deadline=None)
@given(word=words)
def test_words_in_variables_do_not_come_out(word: str) -> None:
    with TemporaryDirectory() as folder:
        variables = {name: value.format(word) for name, value in VARIABLES.items()}
        machine = host(Path(folder), {**variables, "USER": word})
        for section in SECTIONS:
            assert word not in json.dumps(discover.load("envcheck.probes", section, "PROBE").collect(machine)), section


@pytest.mark.parametrize("personal", PERSONAL)
@pytest.mark.parametrize("template", ["{}", "a={};b", "/data/{}/models:/usr/lib", "before {} after", "GPU-{}", "x,{}"])
def test_personal_values_are_replaced_in_any_listed_variable(tmp_path: Path, personal: str, template: str) -> None:
    write(tmp_path, {"/proc/sys/kernel/hostname": f"{HOST}\n"})
    machine = host(
        tmp_path,
        {"USER": USER, "VLLM_EXTRA": template.format(personal), "CUDA_VISIBLE_DEVICES": template.format(personal)},
    )
    evidence = discover.load("envcheck.probes", "environment", "PROBE").collect(machine)
    assert personal not in json.dumps(evidence)


def test_what_rules_need_stays_readable(tmp_path: Path) -> None:
    variables = {
        "CUDA_VISIBLE_DEVICES": f"GPU-{UUID},1",
        "LD_LIBRARY_PATH": "/usr/local/cuda-12.4/compat:/home/someone/lib",
        "HSA_OVERRIDE_GFX_VERSION": "11.0.0",
        "OLLAMA_HOST": "127.0.0.1:11434",
        "PIP_EXTRA_INDEX_URL": "https://download.pytorch.org/whl/cu128",
        "VLLM_USE_V1": "",
    }
    evidence: Any = discover.load("envcheck.probes", "environment", "PROBE").collect(host(tmp_path, variables))
    assert evidence["variables"] == {
        "CUDA_VISIBLE_DEVICES": "GPU-<uuid>,1",
        "HSA_OVERRIDE_GFX_VERSION": "11.0.0",
        "LD_LIBRARY_PATH": "/usr/local/cuda-12.4/compat:~/lib",
        "OLLAMA_HOST": "127.0.0.1:11434",
        "PIP_EXTRA_INDEX_URL": "https://download.pytorch.org/whl/cu128",
        "VIRTUAL_ENV": "<venv>",
        "VLLM_USE_V1": "",
    }


@settings(max_examples=200, deadline=None)
@given(value=st.text(max_size=200))
def test_redacting_never_raises_and_is_stable(value: str) -> None:
    with TemporaryDirectory() as folder:
        redact = Redactor(host(Path(folder), {"USER": "someone"}))
        assert redact(redact(value)) == redact(value)
