"""From a finished run to bytes and back: masking, summarising, encoding, the batching writer."""
