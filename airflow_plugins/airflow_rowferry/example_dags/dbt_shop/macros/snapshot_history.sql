{# Any snapshot as a history: its own columns, then valid_from, valid_to (NULL while current) and is_current.

       {{ snapshot_history(ref('snap_users')) }}                                              #}
{% macro snapshot_history(snapshot) -%}
    {%- set housekeeping = ['dbt_scd_id', 'dbt_updated_at', 'dbt_valid_from', 'dbt_valid_to', 'dbt_is_deleted'] -%}
    {%- set columns = adapter.get_columns_in_relation(snapshot) if execute else [] -%}
    select
    {%- for column in columns if column.name | lower not in housekeeping %}
        {{ column.quoted }},
    {%- endfor %}
        dbt_valid_from as valid_from,
        dbt_valid_to as valid_to,
        dbt_valid_to is null as is_current
    from {{ snapshot }}
{%- endmacro %}
