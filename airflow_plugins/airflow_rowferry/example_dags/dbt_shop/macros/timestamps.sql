{# The one place that knows the epoch; models never spell a date. #}
{% macro epoch_zero() -%}
    {{ return(adapter.dispatch('epoch_zero')()) }}
{%- endmacro %}

{% macro default__epoch_zero() -%}
    to_timestamp(0)
{%- endmacro %}

{% macro snowflake__epoch_zero() -%}
    to_timestamp_tz(0)
{%- endmacro %}


{# A timestamp with zone, or NULL where the source wrote 1970-01-01 00:00:00 for "unknown". #}
{% macro known_timestamp(column) -%}
    nullif({{ column }}, {{ epoch_zero() }})
{%- endmacro %}


{# A source timestamp without zone, declared to be UTC. One that already has a zone passes unchanged,
   and the session's zone decides nothing. #}
{% macro declared_utc(column) -%}
    {{ return(adapter.dispatch('declared_utc')(column)) }}
{%- endmacro %}

{% macro default__declared_utc(column) -%}
    to_timestamp(extract(epoch from {{ column }}))
{%- endmacro %}

{% macro snowflake__declared_utc(column) -%}
    to_timestamp_tz(date_part(epoch_nanosecond, {{ column }}), 9)
{%- endmacro %}


{# The calendar day of a timestamp with zone, in UTC whatever the session's zone. #}
{% macro utc_date(column) -%}
    {{ return(adapter.dispatch('utc_date')(column)) }}
{%- endmacro %}

{% macro default__utc_date(column) -%}
    cast({{ column }} at time zone 'UTC' as date)
{%- endmacro %}

{% macro snowflake__utc_date(column) -%}
    cast(convert_timezone('UTC', {{ column }}) as date)
{%- endmacro %}


{# When the running dbt command started: the same for every row it builds. #}
{% macro dbt_updated_at() -%}
    cast('{{ run_started_at.isoformat() }}' as {{ type_timestamp_tz() }})
{%- endmacro %}


{# Where the lookback window begins. #}
{% macro lookback_start() -%}
    {{ dbt.dateadd('day', -1 * (var('lookback_days', 3) | int), dbt.current_timestamp()) }}
{%- endmacro %}
{# Every adapter's name for an instant: TIMESTAMP_TZ on Snowflake, timestamptz elsewhere. #}
{% macro type_timestamp_tz() -%}
    {{ 'timestamp_tz' if target.type == 'snowflake' else 'timestamptz' }}
{%- endmacro %}


{# dbt's own forms drop the zone, and a user who left the source would be closed at a local time. #}
{% macro postgres__snapshot_get_time() -%}
    {{ current_timestamp() }}
{%- endmacro %}

{% macro duckdb__snapshot_get_time() -%}
    {{ current_timestamp() }}
{%- endmacro %}

{% macro snowflake__snapshot_get_time() -%}
    {{ current_timestamp() }}
{%- endmacro %}
