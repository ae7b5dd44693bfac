"""What `promptlab init` lays down: the bike-shop set that comes along, or a project around a file of one's own."""

from promptlab.starter.bikes import bike_shop
from promptlab.starter.lay import lay
from promptlab.starter.own import own
from promptlab.starter.project import Project

__all__ = ["Project", "bike_shop", "lay", "own"]
