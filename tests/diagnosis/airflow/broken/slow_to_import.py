"""A DAG file of airflow."""

import time

time.sleep(60)
