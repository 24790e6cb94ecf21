"""The day of a shop as an Airflow DAG: Beam's operator starts `daily`, which runs its Beam jobs one after the other.

Copy it into Airflow's folder of DAGs. ITEMSAGE_PYTHON and ITEMSAGE_CONFIG, in the environment of Airflow's worker, name
the Python that itemsage is installed in (not Airflow's) and the shop's config file, whose paths must be absolute.
"""

import os
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.providers.apache.beam.operators.beam import BeamRunPythonPipelineOperator
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from airflow.timetables.interval import CronDataIntervalTimetable


class ItemsageOperator(BeamRunPythonPipelineOperator):
    """Beam's operator, but a day that a gate refused is not tried again: the same data would be refused again."""

    def execute(self, context: Any) -> Any:
        """Runs the pipeline to its end. Raises AirflowFailException, which leaves no other try, for exit code 3, and
        AirflowException for any other but 0: the next try goes on where this one stopped."""
        try:
            return super().execute(context)
        except AirflowException as error:
            if str(error).endswith("return code 3"):  # its text is all that the operator tells of the exit code
                raise AirflowFailException("a gate refused the day: the log above and gates.json say why") from error
            raise


with DAG(
    "itemsage_day",
    # four in the morning of the shop; a timetable of intervals, so that {{ ds }} is the day that ended
    schedule=CronDataIntervalTimetable("0 4 * * *", timezone="Europe/Berlin"),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=10)},
) as dag:
    ItemsageOperator(
        task_id="daily",
        py_interpreter=os.environ.get("ITEMSAGE_PYTHON", "/opt/itemsage/.venv/bin/python"),
        py_options=["-m"],
        py_file="pipelines.daily",
        runner="FnApiRunner",
        pipeline_options={
            "config": os.environ.get("ITEMSAGE_CONFIG", "/srv/shop/shop.toml"),
            "date": "{{ ds }}",
        },
        deferrable=False,
    )
