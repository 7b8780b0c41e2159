"""Data sets in the format of TFDS, made here."""

import io

import numpy as np
from PIL import Image


def png(image: np.ndarray) -> io.BytesIO:
    """An image as a file, which TFDS takes as it is (to encode an array it wants TensorFlow)."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "png")
    file.seek(0)
    return file


def prepare(folder, dataset: str, features, splits: dict[str, list[dict]]) -> None:
    """Writes a data set as `tfds build … --file_format=array_record` does, without registering its class."""
    import tensorflow_datasets as tfds

    path, version = dataset.split(":")
    name, _, config = path.partition("/")

    def _info(self):
        return tfds.core.DatasetInfo(builder=self, features=features(tfds), disable_shuffling=True)

    def _split_generators(self, manager):
        return {split: enumerate(examples) for split, examples in splits.items()}

    with tfds.core.registered.skip_registration():
        builder = type(
            "".join(w.capitalize() for w in name.split("_")),
            (tfds.core.GeneratorBasedBuilder,),
            {
                "name": name,
                "VERSION": tfds.core.Version(version),
                "_info": _info,
                "_split_generators": _split_generators,
                "_generate_examples": lambda self: None,
                "pkg_dir_path": folder,
                "__module__": __name__,
                "BUILDER_CONFIGS": [tfds.core.BuilderConfig(name=config, version=version)] if config else [],
            },
        )
        made = builder(data_dir=str(folder), file_format="array_record", **({"config": config} if config else {}))
    made.download_and_prepare()
