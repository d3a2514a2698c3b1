"""Versions printed one at a time: `pip show`, the Python prompt, `python -m xformers.info`, fields of issue forms."""

from __future__ import annotations

import re

from envcheck.importers._draft import Draft, Importer
from envcheck.importers.package_lists import KNOWN
from envcheck.schema.paste import Line, Paste

_NUMBER = r"v?(\d{1,4}(?:\.\w{1,12}){1,4}(?:\+[\w.]{1,30})?)"
_SHOWN_NAME = re.compile(r"^[\s>|]{0,8}Name: ([A-Za-z][\w.-]{1,60})\s*$")
_SHOWN_VERSION = re.compile(r"^[\s>|]{0,8}Version: (\d[\w.+!-]{0,60})\s*$")
_ASKED = re.compile(r"\b(\w{2,30})\.__version__\)?(?:\s{0,8}(?:[:=]|is|->)?\s{0,8}[`'\"(]?" + _NUMBER + ")?", re.ASCII)
_ANSWER = re.compile(r"^[\s>]{0,8}['\"(]?" + _NUMBER + r"['\")]?\s*$", re.ASCII)
_XFORMERS = re.compile(
    r"^\s{0,8}(pytorch\.version|pytorch\.cuda|gpu\.name|gpu\.compute_capability):\s{1,60}(\S.{0,60})$"
)
_BUILT = re.compile(r"(?<![\w.+-])([12]\.\d{1,2}\.\d(?:\.dev\d{8})?\+(?:cpu|cu\d{3}|rocm\d[\d.]{0,4}))(?![\w.])")
_MADE_WITH = re.compile(
    r"\b(?:py)?torch(?:==|[ =]v?)(?P<torch>[12]\.\d{1,2}(?:\.\d{1,2})?)(?![\w.+]).{0,40}?"
    r"(?:(?:installed|built|compiled) (?:with|for) cuda[ =]?|\bcudatoolkit ?={1,2} ?)(?P<cuda>\d{1,2}\.\d)",
    re.IGNORECASE,
)
_HEADING = re.compile(r"^\s{0,3}#{1,6}\s{1,4}(.{2,60}?)\s*:?\s*$")
_MODULES = {"torch": "torch", "flash_attn": "flash-attn", "llama_cpp": "llama-cpp-python", "cv2": "opencv-python"}
_LOOK_AHEAD = 3
_FORM_FIELDS = {
    "ollama version": "ollama",
    "vllm version": "vllm",
    "transformers version": "transformers",
    "pytorch version": "torch",
    "torch version": "torch",
    "llama.cpp version": "llama.cpp",
}


def read(paste: Paste, draft: Draft) -> bool:
    """Take versions from wherever one stands beside the name it belongs to."""
    found = [_shown(paste, draft), _asked(paste, draft), _xformers(paste, draft), _form(paste, draft)]
    return any(found) or _built(paste, draft) or _made_with(paste, draft)


def _shown(paste: Paste, draft: Draft) -> bool:
    found = False
    for line in paste.having("version: "):
        release = _SHOWN_VERSION.match(line.text)
        name = _name_above(paste, line) if release else None
        if name and release:
            _note(draft, name, release.group(1), line)
            found = True
    return found


def _name_above(paste: Paste, line: Line) -> str | None:
    """The name that `pip show` prints just above the version, with its label or, as some people copy it, without."""
    text = paste.lines[line.number - 2] if line.number > 1 else ""
    shown = _SHOWN_NAME.match(text)
    if shown:
        return shown.group(1)
    bare = text.strip(" >|`*-").lower()
    return bare if bare in KNOWN else None


def _asked(paste: Paste, draft: Draft) -> bool:
    """`torch.__version__` at a prompt or in a sentence: the value stands behind it or on the next line with text."""
    found = False
    for line in paste.having(".__version__"):
        for match in list(_ASKED.finditer(line.text))[-1:]:
            name = _MODULES.get(match.group(1), match.group(1).replace("_", "-"))
            if name not in KNOWN and name != "torch":
                continue
            answer = match.group(2)
            below = next((here for here in _below(paste, line) if here.text.strip()), None)
            printed = _ANSWER.match(below.text) if below and not answer else None
            if answer or (printed and below):
                _note(
                    draft, name, answer or (printed.group(1) if printed else ""), below if printed and below else line
                )
                found = True
    return found


def _xformers(paste: Paste, draft: Draft) -> bool:
    found = False
    for literal in ("pytorch.version", "gpu.name", "gpu.compute_capability"):
        for line in paste.having(literal):
            match = _XFORMERS.match(line.text)
            if match is None:
                continue
            field, value = match.group(1), match.group(2).strip()
            if field == "pytorch.version":
                draft.put("python.torch.version", value, line)
            elif field == "gpu.name":
                draft.gpu("nvidia", 0, "name", value, line)
            elif field == "gpu.compute_capability":
                draft.gpu("nvidia", 0, "compute_capability", value, line)
            found = True
    return found


def _form(paste: Paste, draft: Draft) -> bool:
    """A heading of an issue form that asks for a version, and the answer below it."""
    found = False
    for line in paste.having(" version"):
        heading = _HEADING.match(line.text)
        name = _FORM_FIELDS.get(heading.group(1).lower()) if heading else None
        below = next((here for here in _below(paste, line) if here.text.strip()), None) if name else None
        answer = re.search(_NUMBER, below.text) if below and not below.text.lstrip().startswith("#") else None
        if name and below and answer:
            _note(draft, name, answer.group(1), below)
            found = True
    return found


def _built(paste: Paste, draft: Draft) -> bool:
    """A bare "2.0.0+cpu": the numbers are torch's where no other package is named on the line."""
    for tag in ("+cpu", "+cu1", "+rocm"):
        for line, match in paste.matching(tag, _BUILT.pattern):
            text = line.text.lower()
            if not any(
                other in text for other in ("vision", "audio", "text", "xformers", "vllm", ".whl", "http", "==")
            ):
                draft.put("python.torch.version", match.group(1), line)
                return True
    return False


def _made_with(paste: Paste, draft: Draft) -> bool:
    """ "PyTorch 1.7.1 installed with CUDA 10.2", and conda's "pytorch==1.7.0 cudatoolkit=10.1"."""
    for literal in ("with cuda", "for cuda", "cudatoolkit"):
        for line, match in paste.matching(literal, _MADE_WITH.pattern):
            draft.put("python.torch.version", match["torch"], line)
            draft.put("python.torch.cuda", match["cuda"], line)
            return True
    return False


def _below(paste: Paste, line: Line) -> list[Line]:
    last = min(line.number + _LOOK_AHEAD, len(paste.lines))
    return [Line(number, paste.lines[number - 1]) for number in range(line.number + 1, last + 1)]


def _note(draft: Draft, name: str, release: str, line: Line) -> None:
    if name == "torch":
        draft.put("python.torch.version", release, line)
    elif name in ("ollama", "llama.cpp"):
        draft.backend(name, release, line)
    else:
        draft.package(name, release, line)


IMPORTER = Importer("version_prints", read)
