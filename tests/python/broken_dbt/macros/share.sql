{% macro share(n, d, safe=false) %}
    {{ n }} / {% if safe %}nullif({{ d }}, 0){% else %}{{ d }}{% endif %}
{% endmacro %}
