{# Raw tables in both modes of rowferry, so that models are the same over either. A table in mode `append` holds each version of a row
   that a run saw and is told by its column _source_xid; the newest one of a row that left the source has _deleted_at set, as the one row
   of it in mode `merge` has.

   Versions are ordered by _load_id, the number of the load that brought them, then _source_xid. No clock decides, nor where or when a
   row came to lie in the table. #}


{# The current row of each key, to select from. It brings its alias with it, the table's own name.

       from {{ latest(source('postgres', 'order_items'), ['order_id', 'line_number']) }}                #}
{% macro latest(relation, key='id') -%}
    {%- set alias = relation.include(database=false, schema=false) -%}
    {%- set columns = adapter.get_columns_in_relation(relation) if execute else [] -%}
    {%- if columns | map(attribute='name') | map('lower') | select('equalto', '_source_xid') | list -%}
    (
        select
        {%- for column in columns %}
            {{ column.quoted }}{{ ',' if not loop.last }}
        {%- endfor %}
        from (
            select
            {%- for column in columns %}
                {{ column.quoted }},
            {%- endfor %}
                row_number() over (partition by {{ _key_list(key) }} order by _load_id desc, _source_xid desc) as _version
            from {{ relation }}
        ) as versions
        where _version = 1
    ) as {{ alias }}
    {%- else -%}
    {{ relation }} as {{ alias }}
    {%- endif -%}
{%- endmacro %}


{# Every version of every row: the table's columns, then valid_from, valid_to (NULL while current) and is_current, as a dbt snapshot over
   the same versions has them. A version begins when it was read, or at `valid_from`, an expression such as a column that says when the row
   changed. It ends where the next one begins, or when its row was found to be gone.

       {{ history(source('postgres', 'users'), valid_from='coalesce(updated_at, _extracted_at)') }}      #}
{% macro history(relation, key='id', valid_from='_extracted_at') -%}
    {%- set columns = adapter.get_columns_in_relation(relation) if execute else [] -%}
    {%- if execute and not columns | map(attribute='name') | map('lower') | select('equalto', '_source_xid') | list -%}
        {{ exceptions.raise_compiler_error(relation ~ " has no column _source_xid: rowferry did not load it in mode append, and it holds no versions") }}
    {%- endif -%}
    select
    {%- for column in columns if column.name | lower not in ['_deleted_at', '_source_xid'] %}
        {{ column.quoted }},
    {%- endfor %}
        valid_from,
        valid_to,
        valid_to is null as is_current
    from (
        select
        {%- for column in columns %}
            {{ column.quoted }},
        {%- endfor %}
            {{ valid_from }} as valid_from,
            lead(case when _deleted_at is null then {{ valid_from }} else _deleted_at end)
                over (partition by {{ _key_list(key) }} order by _load_id, _source_xid) as valid_to
        from {{ relation }}
    ) as versions
    where _deleted_at is null
{%- endmacro %}


{% macro _key_list(key) -%}
    {{ key if key is string else key | join(', ') }}
{%- endmacro %}
