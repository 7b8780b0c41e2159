"""Images as sequences: every number is a token, in order, and an image is read whole."""

import numpy as np
from tfds_folder import png, prepare

from t2t import tasks
from t2t.data.vocabulary import from_name


def test_an_image_is_its_numbers_row_by_row(tmp_path):
    def features(tfds):
        return tfds.features.FeaturesDict({"image": tfds.features.Image(shape=(2, 3, 3), encoding_format="png")})

    images = np.random.default_rng(0).integers(0, 256, (4, 2, 3, 3), dtype=np.uint8)
    shown = [{"image": png(image)} for image in images]
    prepare(tmp_path, "downsampled_imagenet/64x64:2.0.0", features, {"train": shown, "validation": shown[:1]})
    task = tasks.get("imagenet64_pixels")
    vocabulary = from_name(task.vocabulary)
    part = task.part("train", vocabulary, lengths=(8, 20), data_dir=str(tmp_path))
    assert len(part.examples) == 4
    for i, image in enumerate(images):
        found = part.function(part.examples[i], np.random.default_rng(0))
        assert len(found["inputs"]) == 0
        np.testing.assert_array_equal(found["targets"], [*(image.reshape(-1).astype(int) + 3), vocabulary.eos_id])
