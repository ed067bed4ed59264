"""The peers, as implementations: `fastnn.bench.implementations` says what the methods mean."""
