"""The agent: runs on the machine, in RAM from the agent image or as a service of the installed system."""

VERSION = "0.1.0"
