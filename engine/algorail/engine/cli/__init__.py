"""The `algorail` command: everything it does is a public REST call or a file on this machine."""


def main() -> None:
    """Entry point of the `algorail` command."""
    from algorail.engine.cli.app import run  # noqa: PLC0415  # `import algorail.engine.cli` must stay cheap

    run()
