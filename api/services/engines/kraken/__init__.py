"""kraken: line segmentation and text recognition, trained and tested in kraken's own interpreter."""

from api.services.engines.kraken.engine import KrakenEngine

__all__ = ["KrakenEngine"]
