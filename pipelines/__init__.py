"""Beam jobs, one file a job, the store, and the command line."""

import logging

#: Beam says so at every start although nothing here uses Google's storage client.
logging.getLogger().addFilter(lambda record: "apitools not found" not in record.getMessage())
