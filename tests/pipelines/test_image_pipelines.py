"""Images become the pixels that a folder asks for, and what is no image is told."""

import json

import numpy as np
import pytest
from PIL import Image

from t2t.errors import DataError
from t2t.pipelines.images import ImageReader

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8)


def reader(folder, channels=3, **said):
    (folder / "preprocessor_config.json").write_text(json.dumps(said))
    return ImageReader.of(folder, channels)


def test_nothing_is_done_that_is_not_asked_for(tmp_path):
    found = reader(tmp_path, do_rescale=False)(PIXELS)
    np.testing.assert_array_equal(found, np.moveaxis(PIXELS, 2, 0))
    assert found.dtype == np.float32


def test_all_forms_of_an_image_are_one(tmp_path):
    read = reader(tmp_path, do_resize=True, size=4, do_normalize=True, image_mean=[0.5] * 3, image_std=[0.2, 0.3, 0.4])
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    expected = read(PIXELS)
    assert expected.shape == (3, 4, 4)
    for given in (
        Image.fromarray(PIXELS),
        tmp_path / "a.png",
        str(tmp_path / "a.png"),
        Image.fromarray(PIXELS).convert("RGBA"),
    ):
        np.testing.assert_array_equal(read(given), expected)


def test_numbers_are_scaled_then_shifted_then_divided(tmp_path):
    found = reader(tmp_path, do_normalize=True, image_mean=[0.1, 0.2, 0.3], image_std=[0.5, 1.0, 2.0])(PIXELS)
    expected = (PIXELS / 255 - [0.1, 0.2, 0.3]) / [0.5, 1.0, 2.0]
    np.testing.assert_allclose(found, np.moveaxis(expected, 2, 0), atol=1e-6)


def test_the_shorter_side_and_the_middle(tmp_path):
    read = reader(
        tmp_path, do_resize=True, size={"shortest_edge": 12}, do_center_crop=True, crop_size={"height": 4, "width": 8},
        do_rescale=False,
    )  # fmt: skip
    whole = np.asarray(Image.fromarray(PIXELS).resize((18, 12), 2))
    np.testing.assert_array_equal(read(PIXELS), np.moveaxis(whole[4:8, 5:13], 2, 0))
    padded = reader(tmp_path, do_center_crop=True, crop_size=10, do_rescale=False)(PIXELS)
    assert padded.shape == (3, 10, 10)
    np.testing.assert_array_equal(padded[:, 2:8, 1:], np.moveaxis(PIXELS, 2, 0))
    assert padded[:, :2].sum() == padded[:, 8:].sum() == padded[:, :, 0].sum() == 0


def test_grey_images_for_models_of_one_channel_and_of_three(tmp_path):
    grey = PIXELS[..., 0]
    assert reader(tmp_path, channels=1)(grey).shape == (1, 6, 9)
    np.testing.assert_array_equal(reader(tmp_path)(grey), reader(tmp_path)(grey[..., None]))
    assert reader(tmp_path)(grey).shape == (3, 6, 9)


def test_a_folder_that_does_not_say(tmp_path):
    with pytest.raises(DataError, match="no preprocessor_config.json in .* put it there"):
        ImageReader.of(tmp_path, 3)
    with pytest.raises(DataError, match="lacks size"):
        reader(tmp_path, do_resize=True)
    with pytest.raises(DataError, match="expected sizes as height and width, or shortest_edge"):
        reader(tmp_path, do_resize=True, size={"longest_edge": 3})


@pytest.mark.parametrize("given", ["nowhere.png", np.zeros((3, 4), np.float32), np.zeros((2, 3, 4, 3), np.uint8), None])
def test_what_is_no_image(tmp_path, given):
    with pytest.raises(DataError, match="image"):
        reader(tmp_path)(given)


def test_a_file_that_is_no_image(tmp_path):
    (tmp_path / "a.png").write_text("words")
    with pytest.raises(DataError, match="a.png is no image that can be read"):
        reader(tmp_path)(tmp_path / "a.png")
