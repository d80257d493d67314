"""What the operator decides, by a YAML file, the environment and flags; checked whole before a start."""

from registry.settings.errors import SettingsInvalid, SettingsUnreadable, Wrong
from registry.settings.load import Flag, Loaded, load
from registry.settings.model import (
    S3,
    Admission,
    AdmissionRule,
    Cache,
    Limits,
    Settings,
    Signing,
    Storage,
    Timeouts,
)
from registry.settings.server import Server
from registry.settings.values import CONSUMERS, Consumer

__all__ = [
    "CONSUMERS",
    "S3",
    "Admission",
    "AdmissionRule",
    "Cache",
    "Consumer",
    "Flag",
    "Limits",
    "Loaded",
    "Server",
    "Settings",
    "SettingsInvalid",
    "SettingsUnreadable",
    "Signing",
    "Storage",
    "Timeouts",
    "Wrong",
    "load",
]
