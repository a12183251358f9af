"""The synthetic city: an endless procedural street drive with exact labels, instances, flow and occlusion."""

from vid2vid.data.city.classes import CLASSES, city_schema
from vid2vid.data.city.drive import City, CityFrame
from vid2vid.data.city.writer import write_city

__all__ = ["CLASSES", "City", "CityFrame", "city_schema", "write_city"]
