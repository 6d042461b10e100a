"""What people do with algorithms: publish, split, invoke, replay. It knows no web."""
