"""`t2t.config`: mappings into validated dataclasses, with errors that name the place."""

import dataclasses
from typing import Literal

import pytest

from t2t.config import as_dict, build, difference
from t2t.errors import ConfigError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cat:
    name: Literal["cat"] = "cat"
    lives: int = 9


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dog:
    name: Literal["dog"] = "dog"
    tricks: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class House:
    owner: str
    pet: Cat | Dog = Cat()
    size: float = 1.0
    rooms: int | None = None
    colour: Literal["red", "white"] = "red"
    garden: bool = False
    visitors: Cat | Dog | tuple[Cat | Dog, ...] | None = None

    def __post_init__(self):
        if self.size <= 0:
            raise ConfigError(f"size: expected more than 0, found {self.size}.")


def test_round_trip_through_plain_values():
    house = House(owner="Ada", pet=Dog(tricks=("sit", "roll")), rooms=3)
    assert build(House, as_dict(house)) == house
    assert as_dict(house)["pet"] == {"name": "dog", "tricks": ["sit", "roll"]}


def test_one_or_several_of_a_union():
    several = House(owner="Ada", visitors=(Dog(tricks=("sit",)), Cat(lives=2)))
    assert build(House, as_dict(several)) == several
    assert build(House, {"owner": "Ada", "visitors": [{"name": "dog", "tricks": ["sit"]}, Cat(lives=2)]}) == several
    assert build(House, {"owner": "Ada", "visitors": {"name": "cat"}}).visitors == Cat()


def test_integers_serve_as_floats_but_not_the_other_way():
    assert build(House, {"owner": "Ada", "size": 2}).size == 2.0
    with pytest.raises(ConfigError, match=r"config\.rooms: expected int, found float 2\.5"):
        build(House, {"owner": "Ada", "rooms": 2.5})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"owner": "Ada", "colur": "red"}, r"config\.colur: Unknown field of House 'colur'\. Did you mean 'colour'\?"),
        ({"owner": "Ada", "colour": "rad"}, r"config\.colour: Unknown choice 'rad'\. Did you mean 'red'"),
        ({"owner": "Ada", "pet": {"name": "cow"}}, r"config\.pet\.name: Unknown name 'cow'"),
        ({"owner": "Ada", "pet": {"name": "dog", "lives": 3}}, r"config\.pet\.lives: Unknown field of Dog"),
        (
            {"owner": "Ada", "pet": {"name": "dog", "tricks": [1]}},
            r"config\.pet\.tricks\[0\]: expected str, found int 1",
        ),
        ({"owner": "Ada", "visitors": [{"name": "dog"}, {"name": "dgo"}]}, r"config\.visitors\[1\]\.name: .* 'dog'"),
        ({"owner": "Ada", "visitors": [{"name": "cat", "lifes": 3}]}, r"config\.visitors\[0\]\.lifes: .* 'lives'"),
        ({"owner": "Ada", "visitors": 3}, r"config\.visitors: expected Cat or Dog or tuple.*, found 3"),
        ({"owner": 3}, r"config\.owner: expected str, found int 3"),
        ({"owner": "Ada", "garden": 1}, r"config\.garden: expected bool, found int 1"),
        ({"owner": "Ada", "rooms": True}, r"config\.rooms: expected int, found bool True"),
        ({"owner": "Ada", "size": -1}, r"config: size: expected more than 0, found -1"),
        ({}, r"config: House needs owner; found nothing"),
        (["Ada"], r"config: expected the fields of House"),
    ],
)
def test_mistakes_name_their_place(values, message):
    with pytest.raises(ConfigError, match=message):
        build(House, values)


def test_difference_lists_changed_leaves():
    a, b = House(owner="Ada"), House(owner="Ada", pet=Cat(lives=7), garden=True)
    assert difference(b, a) == {"pet.lives": (9, 7), "garden": (False, True)}
    assert difference(a, a) == {}
