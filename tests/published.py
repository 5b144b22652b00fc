"""Public files that are not part of the project: a test that needs one skips where it is absent."""

import hashlib
import os
import urllib.request
from pathlib import Path

import pytest

from versat2i.work.fingerprint import ROOT

FOLDER = ROOT.parent / "shared" / "benchmarks"
DOWNLOADS = "VERSAT2I_PUBLISHED"  # a folder to download into: without it nothing is downloaded
_DSG = "https://raw.githubusercontent.com/j-min/DSG/7330119a39f76ff90e619a8bd3ff321e71aa986b"
_TIFA = "https://raw.githubusercontent.com/Yushi-Hu/tifa/8e37050f44ab4ee681e4251f3c8a9d4cc86e901e"
_Q_BENCH = "https://raw.githubusercontent.com/Q-Future/Q-Bench/f19783ea1890212794ab220c90c7f71342a6289b"
_Q_INSTRUCT = "https://raw.githubusercontent.com/Q-Future/Q-Instruct/2a78134356b829da873ceb905542dead1efa8f6c"
_LLAVA = f"{_Q_BENCH}/leaderboards/IQA_outputs/llava_v1.5"
SOURCES = {  # name -> address at a pinned commit, SHA-256
    "instructblip_dsg.csv": (
        f"{_DSG}/vqa_answers_release/instructblip_dsg.csv",
        "459bf361e237efff7f6e127e66076a1205c1f4912b8ba20dab813b89fe8fbb92",
    ),
    "mplug_dsg.csv": (
        f"{_DSG}/vqa_answers_release/mplug_dsg.csv",
        "80feb7ea352dadaca6de97149b9a43c122a5feaec985c32f2fffbf38a39a795c",
    ),
    "pali17b_dsg.csv": (
        f"{_DSG}/vqa_answers_release/pali17b_dsg.csv",
        "ac394cb8116e2e3723e21064683ffa24b34c866bf2450c6fb0ae6688b15dbf85",
    ),
    "tifa160-likert-anns.csv": (
        f"{_DSG}/dsg/data/tifa160-likert-anns.csv",
        "61c9ff41b9f9fc26a44bbaf5540caeb67c09a9e3039536567f3e45d40ad0e9f8",
    ),
    "human_annotations_with_scores.json": (
        f"{_TIFA}/human_annotations/human_annotations_with_scores.json",
        "1720bb802c3c0821dd56df0d8c20a1214ff5085d7e5d9236a75736b1d39b7b3c",
    ),
    "tifa_sample_evaluation_result.json": (
        f"{_TIFA}/sample/sample_evaluation_result.json",
        "1661a6a34a0967b3b822d5756e75370fcc44d80685edb926a76c6338aeb3b499",
    ),
    "q-bench_llava_v1.5_agi.json": (
        f"{_LLAVA}/agi.json",
        "7361c6e035ba393b25d14a0bb14106d9007c3de6a5388c5e0072bcf6bd4d0786",
    ),
    "q-bench_llava_v1.5_koniq.json": (
        f"{_LLAVA}/koniq.json",
        "da06e5e88559bbbd4a3a5bebe5e44b74882355907ff2b9b25481ef9aa7405a3b",
    ),
    "q-bench_llava_v1.5_livec.json": (
        f"{_LLAVA}/livec.json",
        "66dca6d24d8f1ccb896fddb7b5df70da954407d4240288c9655fa8e5ff6baec4",
    ),
    "q-instruct_sausage.jpg": (
        f"{_Q_INSTRUCT}/fig/sausage.jpg",
        "f5808fb71099077067cf92b3e4bbd8ddc4c179fa575091ff69dca9c96c175741",
    ),
    "q-instruct_211.jpg": (
        f"{_Q_INSTRUCT}/local_demos/mplug_owl_2/examples/211.jpg",
        "7980c3c75b6eccd5519918344d03c6e8ba654f3faab2a4aae96e3baddd649a18",
    ),
}


def published(name: str) -> Path:
    """The path of a file that lies beside the project."""
    if not (FOLDER / name).is_file():
        pytest.skip(f"{name} is not in {FOLDER}")
    return FOLDER / name


def fetched(name: str) -> Path:
    """The path of a file of `SOURCES`, which is downloaded where `DOWNLOADS` names a folder, and checked."""
    if (FOLDER / name).is_file():
        return FOLDER / name
    if DOWNLOADS not in os.environ:
        pytest.skip(f"{name} is downloaded only where {DOWNLOADS} names a folder for it")
    path, (address, expected) = Path(os.environ[DOWNLOADS]) / name, SOURCES[name]
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        urllib.request.urlretrieve(address, path)
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    assert found == expected, f"{path} is not the file of {address}: delete it"
    return path
