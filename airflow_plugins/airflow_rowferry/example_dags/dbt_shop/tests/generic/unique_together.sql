{# Rows whose columns are together those of another row. A merge in DuckDB inserts a new key twice, or drops the second, and says nothing. #}
{% test unique_together(model, columns) %}
select {{ columns | join(', ') }}
from {{ model }}
group by {{ columns | join(', ') }}
having count(1) > 1
{% endtest %}
