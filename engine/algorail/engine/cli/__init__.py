"""The `algorail` command."""
