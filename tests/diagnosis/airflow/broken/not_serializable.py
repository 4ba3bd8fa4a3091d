from datetime import datetime

from airflow.providers.common.compat.sdk import DAG, Param


class Window:
    pass


with DAG("not_serializable", schedule=None, start_date=datetime(2026, 1, 1), params={"window": Param(Window(), type="object")}):
    pass
