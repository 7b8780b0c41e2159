"""Words for an image."""

from typing import Any

import numpy as np

from t2t.pipelines.batches import filled
from t2t.pipelines.generation import Arguments, Generation, ended
from t2t.pipelines.images import ImageReader


class ImageToText(Generation):
    """An image → a list of {"generated_text"}, one for each of num_return_sequences. See `ImageReader` for what is an
    image."""

    reads = "images"
    architectures = ("encoder-decoder",)

    def run(self, inputs: list[Any], options: tuple[Any, Arguments]) -> list[list[dict[str, Any]]]:
        _, arguments = options
        settings, results = self.settings(arguments), []
        reader = ImageReader.of(self.model.folder, self.model.config.side("encoder").patches.channels)
        for number, (_, rows) in enumerate(self.batches([0] * len(inputs))):
            pixels = np.stack([reader(inputs[i]) for i in rows])[filled([*range(len(rows))], self.batch_size)]
            ids = self.model.generate_ids(pixel_values=pixels, **self.drawn(arguments, settings, number))[:, 1:]
            for of_image in ids.reshape(len(pixels), -1, ids.shape[1])[: len(rows)]:
                texts = [self.vocabulary.spell(ended(row, settings["eos_token_id"]), special=False) for row in of_image]
                results.append([{"generated_text": text} for text in texts])
        return results
