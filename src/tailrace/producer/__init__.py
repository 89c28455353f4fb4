"""The producer SDK: publish events of the contract and know what became of each."""

from tailrace.producer.blocking import SyncProducer
from tailrace.producer.client import Producer
from tailrace.producer.clock import HybridClock
from tailrace.producer.connection import Record
from tailrace.producer.errors import (
    ClockDrift,
    CloseIncomplete,
    DeliveryError,
    DeliveryUnknown,
    EventRefused,
    NotDelivered,
    ProducerClosed,
    TopicMissing,
)
from tailrace.producer.ids import EventIds
from tailrace.producer.options import ProducerOptions
from tailrace.producer.results import Ack, Failed, Refused, Result
from tailrace.producer.stamping import Attributes, Draft, Publishable

__all__ = [
    "Ack",
    "Attributes",
    "ClockDrift",
    "CloseIncomplete",
    "DeliveryError",
    "DeliveryUnknown",
    "Draft",
    "EventIds",
    "EventRefused",
    "Failed",
    "HybridClock",
    "NotDelivered",
    "Producer",
    "ProducerClosed",
    "ProducerOptions",
    "Publishable",
    "Record",
    "Refused",
    "Result",
    "SyncProducer",
    "TopicMissing",
]
