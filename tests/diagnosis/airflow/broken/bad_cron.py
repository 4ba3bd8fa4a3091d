from datetime import datetime

from airflow.providers.common.compat.sdk import DAG

with DAG("bad_cron", schedule="0 2 * *", start_date=datetime(2026, 1, 1)):
    pass
