"""`versat2i export` writes each adapter for both worlds, and a mixture also as a folder with its card."""

import dataclasses

import tiny
from commands import run

from versat2i.adapters import lora, mixture, mixture_files
from versat2i.models import diffusion
from versat2i.settings import params


def test_an_expert_is_two_files_and_a_mixture_a_folder_besides(clone):
    loaded = diffusion.load(params.load().model)
    experts = [
        dataclasses.replace(tiny.adapter(loaded.denoiser, name), metadata=loaded.identity)
        for name in ("geometry", "aesthetic")
    ]
    lora.write(experts[0], clone / "geometry")
    mixture_files.save(mixture.attach(loaded.denoiser, experts, "layer"), clone / "mixture", loaded.identity)
    result = run("export", "geometry", "mixture", "--out", "out")
    assert result.exit_code == 0, result.output
    written = [line.removeprefix("wrote ") for line in result.output.splitlines()]
    assert len(written) == 2 + 3 and all((clone / path).exists() for path in written)
    assert written[-1] == "out/mixture" and (clone / "out/mixture/README.md").is_file()


def test_a_mixture_whose_gates_follow_the_timestep_is_a_folder_alone_and_one_line_says_why(clone):
    loaded = diffusion.load(params.load().model)
    mixed = mixture.attach(loaded.denoiser, [tiny.adapter(loaded.denoiser, "geometry")], "time")
    for parameter in mixed.parameters():
        parameter.data += 0.1
    mixture_files.save(mixed, clone / "mixture", loaded.identity)
    result = run("export", "mixture", "--out", "out")
    said = result.output.splitlines()
    assert result.exit_code == 0 and len(said) == 2 and said[1] == "wrote out/mixture"
    assert said[0].startswith("mixture: no file for other tools: its gates follow the timestep (scope: time)")
    assert [path.name for path in (clone / "out").iterdir()] == ["mixture"]


def test_a_folder_without_an_adapter_is_one_line(clone):
    result = run("export", "nothing")
    assert result.exit_code == 1 and "nothing" in result.output and len(result.output.splitlines()) == 1
