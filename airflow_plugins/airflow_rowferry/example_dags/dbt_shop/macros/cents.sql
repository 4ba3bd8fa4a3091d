{# Integer cents of an amount the source keeps as double precision. The double is first read as the decimal
   number it prints as, so that 1.005 is a half cent and rounds away from zero on every warehouse. #}
{% macro cents(amount) -%}
    {{ return(adapter.dispatch('cents')(amount)) }}
{%- endmacro %}

{% macro default__cents(amount) -%}
    cast(round(cast({{ amount }} as numeric) * 100) as bigint)
{%- endmacro %}

{# NUMERIC is DECIMAL(18, 3) in DuckDB: too few decimals to tell a half cent. #}
{% macro duckdb__cents(amount) -%}
    cast(round(cast(cast({{ amount }} as varchar) as decimal(38, 9)) * 100) as bigint)
{%- endmacro %}

{# NUMERIC is NUMBER(38, 0) in Snowflake. #}
{% macro snowflake__cents(amount) -%}
    cast(round(cast({{ amount }} as number(38, 9)) * 100) as bigint)
{%- endmacro %}
