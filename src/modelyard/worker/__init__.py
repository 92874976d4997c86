"""Process: runs one job, shut in a sandbox, and reports to the api. No database."""
