"""The appliance: everything that runs on the boot server."""
