"""Settings of a server, made once at the composition root and passed on.

Every field can be set in the environment as `ALGORAIL_<SECTION>__<FIELD>`, for example
`ALGORAIL_ENGINE__PORT=8080`, or in the file `settings.toml` of the state folder, where the environment wins.
The state folder is `ALGORAIL_HOME`.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from algorail.engine.kit.errors import ConfigInvalid, Problem
from algorail.engine.kit.home import home_folder

Positive = Annotated[int, Field(gt=0)]
Seconds = Annotated[float, Field(gt=0)]


SETTINGS_FILE = "settings.toml"


class EngineSettings(BaseModel):
    """The engine: addresses, storage, limits, recording."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = Field(
        default="127.0.0.1",
        description="Address to listen on. Loopback, so that nothing is reachable from outside by accident.",
    )
    port: int = Field(
        default=8750,
        ge=0,
        le=65535,
        description="Port to listen on; 0 takes a free one. 8750 is not a common default of others.",
    )
    allowed_hosts: tuple[str, ...] = Field(
        default=(),
        description="Host names accepted in the Host header beside the loopback names; "
        "`*` accepts any. Empty, because a foreign name that resolves to loopback is DNS rebinding.",
    )
    database_url: str = Field(
        default="",
        description="SQLAlchemy address of the database; empty means SQLite in the home folder, "
        "because one machine needs no server.",
    )
    body_limit_bytes: Positive = Field(
        default=4 * 1024 * 1024,
        description="Largest JSON body accepted. 4 MB hold an image in base64; larger belongs in storage.",
    )
    bundle_limit_bytes: Positive = Field(
        default=16 * 1024 * 1024,
        description="Largest code bundle accepted. Sources are small; models and data go elsewhere.",
    )
    max_runs: Positive = Field(
        default=256,
        description="Runs at the same time in one process. More would only wait for the processor.",
    )
    max_waiting: int = Field(
        default=512,
        ge=0,
        description="Calls that may wait for a place; the next gets 503. Twice `max_runs` absorbs a burst.",
    )
    admission_wait: Seconds = Field(
        default=1.0,
        description="Seconds a call waits for a place before it gets 503. Callers rather retry than wait.",
    )
    default_deadline: Seconds = Field(
        default=30.0,
        description="Seconds a run may take when neither caller nor plan says. Proxies cut at 60.",
    )
    max_deadline: Seconds = Field(
        default=300.0,
        description="Longest deadline a caller may ask for. Longer work belongs in an asynchronous run.",
    )
    idempotency_days: Positive = Field(
        default=7,
        description="Days an idempotency key is remembered. A week covers a retry queue over a weekend.",
    )
    routing_ttl: float = Field(
        default=1.0,
        gt=0,
        le=2,
        description="Seconds an alias is answered from memory. Below 2: a rollback must hold everywhere.",
    )
    compiled_plans: Positive = Field(
        default=256,
        description="Compiled versions kept in memory, least recently used go first. About 100 KB each.",
    )
    threads: Positive = Field(
        default=16,
        description="Threads for blocking work (database, `in_thread` blocks). They mostly wait.",
    )
    record_window_bytes: Positive = Field(
        default=32 * 1024 * 1024,
        description="Runs that may wait for their commit, by size. 32 MB are some seconds at full speed.",
    )
    record_arrays: Literal["summary", "full"] = Field(
        default="summary",
        description="How large arrays that blocks return are recorded. `summary` (type, shape, digest, "
        "first items), because disk is the limit; `full` lets replays start there. Inputs are always full.",
    )
    record_array_bytes: int = Field(
        default=4_096,
        ge=0,
        description="Arrays up to this size are small, kept in full. 4 KB are 1,024 float32: an embedding.",
    )
    record_whole_bytes: int = Field(
        default=32_768,
        ge=0,
        description="A run up to this size is kept in one piece: encoded in one call, read in no time.",
    )
    record_value_bytes: Positive = Field(
        default=4_096,
        description="In larger runs, values above this size are kept once a day under their digest. "
        "Smaller ones compress better beside their neighbours.",
    )
    retention_days: Positive = Field(
        default=30,
        description="Days runs are kept unless the plan says. A month covers an experiment and its review.",
    )
    min_free_disk_bytes: int = Field(
        default=256 * 1024 * 1024,
        ge=0,
        description="Free bytes below which the server is not ready: durable records need room to commit.",
    )
    bundle_policy: Literal["isolated", "trusted"] = Field(
        default="isolated",
        description="`isolated` runs the code of bundles in worker processes, `trusted` in this one. "
        "Isolated, because bundles are other people's code.",
    )
    auth_ttl: float = Field(
        default=1.0,
        gt=0,
        le=60,
        description="Seconds a checked API key is remembered: the longest life of a revoked one.",
    )
    broker_url: str = Field(
        default="",
        description="Redis or Valkey address of the doorbells between API and Celery workers; empty runs "
        "asynchronous runs in the API process, because one machine needs no broker.",
    )
    async_runs: Positive = Field(
        default=128,
        description="Asynchronous runs at the same time in one worker. They share each commit: more runs "
        "make fewer fsyncs, up to what the processor bears.",
    )
    async_waiting: Positive = Field(
        default=50_000,
        description="Asynchronous runs that may wait; the next get 429. Some minutes of work of one worker.",
    )
    async_lease: Seconds = Field(
        default=30.0,
        description="Seconds after its last heartbeat until a worker is taken for dead. Longer than any "
        "pause of a live one, short enough that nobody misses a run.",
    )
    async_deadline: Seconds = Field(
        default=3_600.0,
        description="Seconds an asynchronous run may work in one attempt, at most. The plan may say less.",
    )
    async_days: Positive = Field(
        default=7,
        description="Days the answer of an asynchronous run can be fetched. As long as an idempotency key.",
    )
    blocks: dict[str, dict[str, Any]] = Field(
        default_factory=dict,
        description='Operator\'s settings by block kind, such as `{"http_call": {"allow": ["10.0.0.7"]}}`.',
    )


class Settings(BaseSettings):
    """All settings of a process, one nested class a component."""

    model_config = SettingsConfigDict(
        env_prefix="ALGORAIL_",
        env_nested_delimiter="__",
        extra="ignore",
        frozen=True,
        nested_model_default_partial_update=True,
    )

    home: Path = Field(
        default_factory=home_folder,
        description="State folder. The user's data folder, so that commands need no configuration.",
    )
    engine: EngineSettings = EngineSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments first, then the environment, then `settings.toml` of the home folder."""
        home = Path(init_settings().get("home") or home_folder())
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, home / SETTINGS_FILE)

    @property
    def database_url(self) -> str:
        """The database in use: the configured one, or SQLite in the home folder."""
        return self.engine.database_url or f"sqlite:///{self.home / 'algorail.db'}"


def read_settings(home: Path) -> Settings:
    """The settings of a state folder and the environment.

    Raises:
        ConfigInvalid: `settings-invalid`, with every setting that is wrong.
    """
    try:
        return Settings(home=home)
    except ValidationError as error:
        problems = [
            Problem(
                code="settings-invalid",
                message=item["msg"],
                port=".".join(map(str, item["loc"])),
                got=repr(item["input"])[:80],
            )
            for item in error.errors()
        ]
        raise ConfigInvalid("the settings are wrong", code="settings-invalid", problems=problems) from None
    except (SettingsError, tomllib.TOMLDecodeError) as error:
        raise ConfigInvalid(f"the settings do not read: {error}", code="settings-invalid") from None


__all__ = ["EngineSettings", "Settings", "read_settings"]
