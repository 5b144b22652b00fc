"""What a denoiser that is told no mask reads: known by the name of the call, and by what the pipeline has encoded."""

import torch

RED, HEARTS = "a red circle", "two pink hearts"


def masks_of_calls(pipe, backbone, **options):
    seen = []
    own = backbone._call_mask
    backbone._call_mask = lambda call: seen.append(own(call)) or seen[-1]
    try:
        pipe(height=32, width=32, num_inference_steps=1, output_type="latent", **options)
    finally:
        del backbone._call_mask
    return [mask.sum(1).tolist() for mask in seen]


def test_the_plain_pipeline_reads_prompts_then_empty_ones(flow):
    model = flow("klein")
    red, hearts, empty = model.text_mask([RED, HEARTS, ""]).sum(1).tolist()
    assert masks_of_calls(model.pipe, model, prompt=RED, guidance_scale=3.0) == [[red], [empty]]
    assert masks_of_calls(model.pipe, model, prompt=[RED, HEARTS], guidance_scale=1.0) == [[red, hearts]]
    found = masks_of_calls(model.pipe, model, prompt=[RED, HEARTS], guidance_scale=3.0, num_images_per_prompt=2)
    assert found == [[red, red, hearts, hearts], [empty] * 4]


def test_a_negative_prompt_of_true_guidance_is_read_in_the_second_call(flow):
    model = flow("flux")
    red, hearts = model.text_mask([RED, HEARTS]).sum(1).tolist()
    found = masks_of_calls(model.pipe, model, prompt=RED, negative_prompt=HEARTS, true_cfg_scale=2.0)
    assert found == [[red], [hearts]]


def test_texts_that_were_embedded_before_are_not_taken_for_those_of_a_call(flow):
    model = flow("klein")
    prompts, empty = model.embed([RED]), model.embed([""])
    assert masks_of_calls(model.pipe, model, prompt=HEARTS, guidance_scale=1.0) == [
        model.text_mask([HEARTS]).sum(1).tolist()
    ]
    model.predict(torch.zeros(1, *model.latent_shape(32)), torch.tensor([500.0]), prompts)
    assert torch.equal(model._mask, prompts.mask) and not torch.equal(prompts.mask, empty.mask)
