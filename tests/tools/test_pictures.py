"""A picture is judged as every viewer shows it, whatever its file says beside the pixels."""

import io
import warnings

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageDraw

from versat2i.tools import pictures

CLEAR = "transparent pixels lie on white"


@pytest.fixture
def scene():
    """A red circle above a blue square on white, 64x48; no two ways to turn or mirror it look the same."""
    image = Image.new("RGB", (64, 48), "white")
    pen = ImageDraw.Draw(image)
    pen.ellipse((10, 6, 30, 26), fill=(220, 20, 20))
    pen.rectangle((20, 30, 36, 44), fill=(20, 40, 220))
    return image


@pytest.fixture
def seen(tmp_path):
    """``seen(image, name, **options)``: pixels and notes of an image saved under a name."""

    def saved(image, name, **options):
        image.save(tmp_path / name, **options)
        return pictures.read(tmp_path / name)

    return saved


TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,  # to be turned by 90 degrees clockwise; ours is counter-clockwise
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("orientation", TURNS)
def test_the_orientation_of_a_camera_is_applied(seen, scene, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels, notes = seen(scene.transpose(TURNS[orientation]), "turned.png", exif=exif)
    np.testing.assert_array_equal(pixels, np.asarray(scene))
    assert notes == []


@pytest.mark.parametrize("hidden", ["black", "noise"])
def test_transparent_pixels_are_white_whatever_colours_lie_below(seen, scene, hidden):
    pixels = np.dstack([np.asarray(scene), np.full((48, 64), 255, np.uint8)])
    ground = (np.asarray(scene) == 255).all(-1)
    below = 0 if hidden == "black" else np.random.default_rng(0).integers(0, 255, (int(ground.sum()), 3))
    pixels[ground, :3], pixels[ground, 3] = below, 0
    for name in ("clear.png", "clear.webp"):
        found, notes = seen(Image.fromarray(pixels), name, lossless=True)
        np.testing.assert_array_equal(found, np.asarray(scene))
        assert notes == [CLEAR]


def test_half_transparent_black_on_white_is_grey(seen):
    image = Image.new("RGBA", (8, 8), (0, 0, 0, 128))
    assert seen(image, "half.png")[0].ravel().tolist() == [127] * 192


@pytest.mark.parametrize("mode, name", [("LA", "x.png"), ("P", "x.png"), ("P", "x.gif"), ("RGB", "x.png")])
def test_every_way_to_say_transparent_is_known(seen, mode, name):
    """A black frame around a part that is not there: another colour, a palette's entry, or an opacity."""
    image = Image.new("RGB", (8, 8), "black")
    image.paste((60, 60, 60), (2, 2, 6, 6))
    options = {}
    if mode == "LA":
        image = image.convert("LA")
        image.putalpha(Image.fromarray(np.where(np.asarray(image.getchannel("L")) == 60, 0, 255).astype(np.uint8)))
    elif mode == "P":
        image = image.quantize(4)
        options["transparency"] = image.getpixel((3, 3))
    else:
        options["transparency"] = (60, 60, 60)
    pixels, notes = seen(image, name, **options)
    assert pixels[3, 3].tolist() == [255] * 3 and pixels[0, 0].tolist() == [0] * 3 and notes == [CLEAR]


def test_an_opacity_of_one_throughout_is_not_worth_a_word(seen, scene):
    pixels, notes = seen(scene.convert("RGBA"), "opaque.png")
    np.testing.assert_array_equal(pixels, np.asarray(scene))
    assert notes == []


@pytest.mark.parametrize("name", ["grey.png", "grey.tif"])
def test_sixteen_bits_are_scaled_to_eight(seen, scene, name):
    grey = np.asarray(scene.convert("L"))
    pixels, _ = seen(Image.fromarray(grey.astype(np.uint16) * 257), name)
    np.testing.assert_array_equal(pixels, np.dstack([grey] * 3))


def test_numbers_from_0_to_1_are_scaled_and_others_are_refused(seen):
    half = Image.fromarray(np.full((4, 4), 0.5, np.float32))
    assert set(seen(half, "half.tif")[0].ravel()) == {128}
    with pytest.raises(ValueError, match=r"far.tif: not a readable image \(its pixels are float32 from 7 to 7; expec"):
        seen(Image.fromarray(np.full((4, 4), 7.0, np.float32)), "far.tif")


def swapped(first=b"rXYZ", second=b"bXYZ"):
    """sRGB's profile with two primaries exchanged: what it calls red is blue."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    one, two = (data.index(name) + 4 for name in (first, second))
    data[one : one + 8], data[two : two + 8] = data[two : two + 8], data[one : one + 8]
    return bytes(data)


def test_colours_are_those_of_the_profile(seen, scene):
    red, green, blue = scene.split()
    pixels, notes = seen(Image.merge("RGB", (blue, green, red)), "profile.png", icc_profile=swapped())
    assert np.abs(pixels.astype(int) - np.asarray(scene)).max() <= 2
    assert notes == ["converted from its colour profile to sRGB"]


def test_a_profile_and_transparency_are_both_seen(seen, scene):
    red, green, blue = scene.split()
    opacity = Image.new("L", scene.size, 255)
    opacity.paste(0, (0, 0, 4, 4))
    image = Image.merge("RGBA", (blue, green, red, opacity))
    image.paste((0, 0, 0, 0), (0, 0, 4, 4))
    pixels, notes = seen(image, "both.png", icc_profile=swapped())
    assert np.abs(pixels.astype(int) - np.asarray(scene)).max() <= 2 and len(notes) == 2


def test_an_image_with_the_profile_of_srgb_is_left_as_it_is(seen, scene):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    pixels, notes = seen(scene, "srgb.png", icc_profile=profile)
    np.testing.assert_array_equal(pixels, np.asarray(scene))
    assert notes == []


def test_a_broken_profile_is_said_and_left_out(seen, scene):
    pixels, notes = seen(scene, "broken.png", icc_profile=b"no profile")
    np.testing.assert_array_equal(pixels, np.asarray(scene))
    assert notes == ["its colour profile cannot be read and is left out"]


@pytest.mark.parametrize("name", ["moving.gif", "moving.webp", "moving.png", "pages.tif"])
def test_of_several_frames_the_first_is_taken_and_it_is_said(seen, scene, name):
    other = Image.new("RGB", scene.size, "black")
    pixels, notes = seen(
        scene, name, save_all=True, append_images=[other], **({"lossless": True} if "webp" in name else {})
    )
    assert np.abs(pixels.astype(int) - np.asarray(scene)).max() <= 2 and notes == ["the first of 2 frames"]


def test_plain_files_are_what_they_are(seen, scene):
    for name in ("a.png", "a.bmp", "a.tiff", "a.webp"):
        pixels, notes = seen(scene, name, lossless=True)
        np.testing.assert_array_equal(pixels, np.asarray(scene))
        assert notes == []


WRONG = {
    b"": "the file is empty",
    b"<!DOCTYPE html><title>404</title>": "it is a web page",
    b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n": "it is a pointer of Git LFS: run `git lfs pull`",
    b"hello": "cannot identify image file",
}


@pytest.mark.parametrize("content", WRONG)
def test_what_is_no_image_is_named_for_what_it_is(tmp_path, content):
    path = tmp_path / "x.png"
    path.write_bytes(content)
    with pytest.raises(ValueError) as error:
        pictures.read(path)
    assert str(error.value).startswith(f"{path}: not a readable image ({WRONG[content]}")


def test_a_missing_file_a_folder_and_half_a_file_are_named(tmp_path, scene):
    with pytest.raises(ValueError, match="there is no such file"):
        pictures.read(tmp_path / "none.png")
    with pytest.raises(ValueError, match="it is a folder"):
        pictures.read(tmp_path)
    buffer = io.BytesIO()
    scene.save(buffer, "PNG")
    (tmp_path / "half.png").write_bytes(buffer.getvalue()[:100])
    with pytest.raises(ValueError, match=r"half.png: not a readable image"), warnings.catch_warnings(action="error"):
        pictures.read(tmp_path / "half.png")
