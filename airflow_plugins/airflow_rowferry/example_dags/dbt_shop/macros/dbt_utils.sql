{# The two macros of dbt_utils this project uses, under their names. The dispatch of dbt_project.yml asks the
   package dbt_utils first: where it is installed its macros run, else the ones below, whose output is equal. #}

{% macro generate_surrogate_key(field_list) -%}
    {{ return(adapter.dispatch('generate_surrogate_key', 'dbt_utils')(field_list)) }}
{%- endmacro %}

{# md5 of the fields as text, joined by '-'; a NULL field counts as a marker, so that it differs from ''. #}
{% macro default__generate_surrogate_key(field_list) -%}
    {%- set empty = var('surrogate_key_treat_nulls_as_empty_strings', false) -%}
    {%- set null_marker = '' if empty else '_dbt_utils_surrogate_key_null_' -%}
    {%- set parts = [] -%}
    {%- for field in field_list -%}
        {%- if not loop.first %}{% do parts.append("'-'") %}{% endif -%}
        {%- do parts.append("coalesce(cast(" ~ field ~ " as " ~ dbt.type_string() ~ "), '" ~ null_marker ~ "')") -%}
    {%- endfor -%}
    {{ dbt.hash(dbt.concat(parts)) }}
{%- endmacro %}


{% macro safe_divide(numerator, denominator) -%}
    {{ return(adapter.dispatch('safe_divide', 'dbt_utils')(numerator, denominator)) }}
{%- endmacro %}

{# NULL where the denominator is zero. Division is of the operands' types: cast an integer first. #}
{% macro default__safe_divide(numerator, denominator) -%}
    ({{ numerator }}) / nullif(({{ denominator }}), 0)
{%- endmacro %}
