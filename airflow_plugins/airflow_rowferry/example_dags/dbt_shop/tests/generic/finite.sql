{# Rows with an infinity or a NaN in any column: what a division by zero is in DuckDB, where other warehouses refuse it.
   Compared as numbers: as text a NaN may have a sign. #}
{% test finite(model) %}
select 1 as found
from {{ model }}
where false
{%- for column in (adapter.get_columns_in_relation(model) if execute else []) if column.is_float() or column.is_numeric() %}
    {%- for bad in ['nan', 'inf', '-inf'] %}
    or {{ column.quoted }} = cast('{{ bad }}' as {{ dbt.type_float() }})
    {%- endfor %}
{%- endfor %}
{% endtest %}
