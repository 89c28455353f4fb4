"""The HTTP way in: events of the contract for those who cannot speak Kafka."""
