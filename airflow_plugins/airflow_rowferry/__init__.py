"""rowferry in Airflow: operators that load tables, check what was loaded, and say how the run ended."""
